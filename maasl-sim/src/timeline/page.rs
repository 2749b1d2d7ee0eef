//! A timeline as one page.
//!
//! Owns: putting a timeline into its page. Promises: the page needs nothing but
//! itself, and no text of a plan can end the script it stands in. Leaves to
//! others: what the page does (`page.html`).

use super::Timeline;

const PAGE: &str = include_str!("page.html");

impl Timeline {
    /// The page.
    #[must_use]
    pub fn to_html(&self) -> String {
        let data = serde_json::to_string(self).expect("a timeline has only names and numbers");
        let data = data.replace('<', "\\u003c");
        let (before, after) = PAGE
            .split_once("/*timeline*/null")
            .expect("the page has a place for it");
        format!("{before}{data}{after}")
    }
}
