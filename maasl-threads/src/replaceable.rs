//! Something that all threads use, and that one of them may have to replace.
//!
//! Owns: who replaces it. Promises: what became unusable is replaced once,
//! however many find out at the same time, and all of them go on with the same
//! successor; who has begun on the former keeps it. Leaves to others: what makes
//! it unusable.

use crate::sync::{Arc, RwLock};

/// The thing in use.
#[derive(Debug)]
pub struct Replaceable<T>(RwLock<Arc<T>>);

impl<T> Replaceable<T> {
    /// Begins with this one.
    pub fn new(first: T) -> Self {
        Self(RwLock::new(Arc::new(first)))
    }

    /// The one in use, as it was last found.
    pub fn last(&self) -> Arc<T> {
        self.0.read().clone()
    }

    /// One that `is_usable`: made by `replace` where the last is not. Where
    /// nothing comes of that, the last one stays.
    pub fn usable(
        &self,
        is_usable: impl Fn(&T) -> bool,
        replace: impl FnOnce(&T) -> Option<T>,
    ) -> Arc<T> {
        let last = self.last();
        if is_usable(&last) {
            return last;
        }
        let mut place = self.0.write();
        if !is_usable(&place)
            && let Some(made) = replace(&place)
        {
            *place = Arc::new(made);
        }
        place.clone()
    }
}
