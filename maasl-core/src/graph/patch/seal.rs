//! Sealing: from the lists of an author to the operations of a patch.
//!
//! Owns: the order of operations and the checks of each. Promises: each thing is
//! said once; a fault names the list and the entry. Leaves to others: the header
//! and the bytes (`patch`).

use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::super::changes::{
    Changes, Edge, Field, ID_BYTES_MAX, Invalid, InvalidReason, NAME_BYTES_MAX, OPERATIONS_MAX,
    Part, VALUE_BYTES_MAX,
};
use super::super::key;
use super::super::slots::Slots;
use super::super::texts::Texts;
use super::super::value::{DEPTH_MAX, Value};
use super::super::{at, number};
use super::{Kind, Packed};

/// The operations of these changes, over texts of their own.
pub(super) fn pack(changes: &Changes) -> Result<(Texts, Vec<Packed>), Invalid> {
    let refuse = |reason| Invalid {
        field: Field::Patch,
        index: 0,
        reason,
    };
    let count = changes.operations();
    if count == 0 {
        let what = Part::Operations;
        return Err(refuse(InvalidReason::Empty { what }));
    }
    Part::Operations
        .within(count, OPERATIONS_MAX)
        .map_err(refuse)?;
    let mut packer = Packer::default();
    packer.removals(changes)?;
    packer.additions(changes)?;
    Ok((packer.texts, packer.operations))
}

/// Refuses an id that cannot be one.
pub(super) fn check_id(id: &str) -> Result<(), InvalidReason> {
    Part::Id.check(id, ID_BYTES_MAX)
}

/// Refuses a name that cannot be one.
pub(super) fn check_name(name: &str) -> Result<(), InvalidReason> {
    Part::Name.check(name, NAME_BYTES_MAX)
}

/// Whether no property can have this name.
pub(super) fn is_reserved(key: &str) -> bool {
    key == "id"
}

/// Refuses the text of a value that is too long.
pub(super) fn check_value(text: &str) -> Result<(), InvalidReason> {
    Part::Value.check(text, VALUE_BYTES_MAX)
}

#[derive(Default)]
struct Packer {
    texts: Texts,
    operations: Vec<Packed>,
    /// The operations so far, by what they are about.
    subjects: Slots,
    /// The text of the value at hand.
    scratch: String,
}

impl Packer {
    fn removals(&mut self, changes: &Changes) -> Result<(), Invalid> {
        each(Field::NodesToRemove, &changes.nodes_to_remove, |node| {
            let node = self.id(node)?;
            self.push(Kind::RemoveNode, [node, 0, 0])
        })?;
        each(Field::EdgesToRemove, &changes.edges_to_remove, |edge| {
            self.edge(Kind::RemoveEdge, edge)
        })?;
        let field = Field::PropertiesToClear;
        each(field, &changes.properties_to_clear, |(node, keys)| {
            keys.iter().try_for_each(|key| {
                let (node, key) = (self.id(node)?, self.name(key)?);
                self.push(Kind::ClearProperty, [node, key, 0])
            })
        })
    }

    fn additions(&mut self, changes: &Changes) -> Result<(), Invalid> {
        each(Field::NodesToAdd, &changes.nodes_to_add, |new| {
            let node = self.id(&new.id)?;
            self.push(Kind::AddNode, [node, 0, 0])?;
            self.set(&new.id, &new.properties)
        })?;
        each(Field::EdgesToAdd, &changes.edges_to_add, |edge| {
            self.edge(Kind::AddEdge, edge)
        })?;
        let field = Field::PropertiesToSet;
        each(field, &changes.properties_to_set, |(node, properties)| {
            self.set(node, properties)
        })
    }

    fn set(
        &mut self,
        node: &str,
        properties: &BTreeMap<String, Value>,
    ) -> Result<(), InvalidReason> {
        for (key, value) in properties {
            if is_reserved(key) {
                let node = node.into();
                return Err(InvalidReason::Reserved { node });
            }
            let (node, key) = (self.id(node)?, self.name(key)?);
            let value = self.value(value)?;
            self.push(Kind::SetProperty, [node, key, value])?;
        }
        Ok(())
    }

    fn edge(&mut self, kind: Kind, edge: &Edge) -> Result<(), InvalidReason> {
        let source = self.id(&edge.source)?;
        let relation = self.name(&edge.relation)?;
        let target = self.id(&edge.target)?;
        self.push(kind, [source, relation, target])
    }

    fn id(&mut self, id: &str) -> Result<u32, InvalidReason> {
        check_id(id)?;
        Ok(self.texts.intern(id))
    }

    fn name(&mut self, name: &str) -> Result<u32, InvalidReason> {
        check_name(name)?;
        Ok(self.texts.intern(name))
    }

    fn value(&mut self, value: &Value) -> Result<u32, InvalidReason> {
        Part::Depth.within(value.depth(), DEPTH_MAX)?;
        self.scratch.clear();
        core::fmt::write(&mut self.scratch, format_args!("{value}"))
            .expect("writing to a string cannot fail");
        check_value(&self.scratch)?;
        Ok(self.texts.intern(&self.scratch))
    }

    /// Takes an operation down unless it is there already.
    fn push(&mut self, kind: Kind, parts: [u32; 3]) -> Result<(), InvalidReason> {
        let packed = Packed { kind, parts };
        let operations = &self.operations;
        let is_it = |n: u32| subject(operations[at(n)]) == subject(packed);
        let key = key_of(packed);
        let next = number(operations.len());
        let Some(found) = self.subjects.find_or_insert(key, next, is_it) else {
            self.operations.push(packed);
            return Ok(());
        };
        if self.operations[at(found)] == packed {
            return Ok(());
        }
        Err(InvalidReason::Contradiction {
            node: self.texts.text(parts[0]).to_string(),
            key: self.texts.text(parts[1]).to_string(),
        })
    }
}

/// What an operation is about: all of it but the value.
fn subject(packed: Packed) -> Packed {
    let [a, b, c] = packed.parts;
    let is_value = packed.kind == Kind::SetProperty;
    Packed {
        kind: packed.kind,
        parts: [a, b, if is_value { 0 } else { c }],
    }
}

fn key_of(packed: Packed) -> u64 {
    let subject = subject(packed);
    key::of_parts(subject.kind as u8, subject.parts.map(u64::from))
}

/// Runs `take` over a list; what it refuses is told with the list and the entry.
fn each<T>(
    field: Field,
    list: impl IntoIterator<Item = T>,
    mut take: impl FnMut(T) -> Result<(), InvalidReason>,
) -> Result<(), Invalid> {
    for (index, entry) in list.into_iter().enumerate() {
        take(entry).map_err(|reason| Invalid {
            field,
            index: number(index),
            reason,
        })?;
    }
    Ok(())
}
