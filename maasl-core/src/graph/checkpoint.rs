//! Checkpoints: what is left of patches once the rest makes no difference.
//!
//! Owns: the form in which a graph is kept and sent as a whole. Promises: a graph
//! restored from a checkpoint goes on like the one it was taken from; a checkpoint
//! can be absorbed by any graph, whatever that has merged before, as if it had
//! merged the patches; what can be read hurts nobody. Leaves to others: what can
//! be left out (`compact`), and keeping the bytes.
//!
//! A graph skips the patches that it knows, and that is right even if each side
//! has dropped other operations of them: whatever a side dropped, it has something
//! that stands in for it.
//!
//! The identities of patches in a checkpoint are taken on trust, since their bytes
//! are gone. A checkpoint is for stores of one owner, not for strangers.

use alloc::vec::Vec;

use super::codec::{Reader, Writer};
use super::number;
use super::patch::{Header, Packed, PatchId, form};
use super::patches::Place;
use super::state::{Graph, Merged};
use super::texts::Texts;
use crate::id::ContentHash;

const MAGIC: &[u8] = b"maasl graph checkpoint 1\n";

/// Patches without the operations that make no difference any more.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    pub(super) texts: Texts,
    pub(super) remnants: Vec<Remnant>,
}

/// What is left of a patch.
#[derive(Clone, Debug)]
pub(super) struct Remnant {
    pub(super) id: PatchId,
    pub(super) header: Header,
    /// Operations by their places, in order.
    pub(super) operations: Vec<(u32, Packed)>,
    /// The last place at which an operation that was dropped updated a node,
    /// and the text of the node's id.
    pub(super) marks: Vec<(u32, u32)>,
}

/// The bytes are not those of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the bytes of a checkpoint")]
pub struct NotACheckpoint;

impl Graph {
    /// Merges the patches of a checkpoint.
    pub fn absorb(&mut self, checkpoint: &Checkpoint) -> Merged {
        let mut dirty = self.nothing_dirty();
        let mut new = 0;
        let mut numbers = self.numbers(&checkpoint.texts);
        for remnant in &checkpoint.remnants {
            let Some(patch) = self.patches.add(remnant.id, &remnant.header) else {
                continue;
            };
            new += 1;
            let operations = remnant.operations.iter().copied();
            self.take(patch, operations, &mut numbers, &mut dirty);
            for (index, node) in &remnant.marks {
                let place = Place {
                    patch,
                    index: *index,
                };
                self.take_mark(place, *node, &mut numbers, &mut dirty);
            }
        }
        self.settle(dirty, new)
    }
}

impl Checkpoint {
    /// The bytes to keep.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.bytes(MAGIC);
        form::write_texts(&mut writer, &self.texts);
        writer.u32(number(self.remnants.len()));
        for remnant in &self.remnants {
            remnant.write(&mut writer);
        }
        writer.finish()
    }

    /// Reads a checkpoint from its bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NotACheckpoint> {
        Self::read(bytes).ok_or(NotACheckpoint)
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::of(bytes);
        reader.magic(MAGIC)?;
        let texts = form::read_texts(&mut reader)?;
        let mut remnants = Vec::new();
        for _ in 0..reader.u32()? {
            remnants.push(Remnant::read(&mut reader, &texts)?);
        }
        reader.is_at_end().then_some(Self { texts, remnants })
    }
}

impl Remnant {
    fn write(&self, writer: &mut Writer) {
        writer.bytes(self.id.as_bytes());
        form::write_header(writer, &self.header);
        writer.u32(number(self.operations.len()));
        for (index, operation) in &self.operations {
            writer.u32(*index);
            form::write_operation(writer, *operation);
        }
        writer.u32(number(self.marks.len()));
        for (index, node) in &self.marks {
            writer.u32(*index);
            writer.u32(*node);
        }
    }

    fn read(reader: &mut Reader, texts: &Texts) -> Option<Self> {
        let id = PatchId::of_hash(ContentHash::from_bytes(reader.array()?));
        let header = form::read_header(reader)?;
        header.check().ok()?;
        let mut operations: Vec<(u32, Packed)> = Vec::new();
        for _ in 0..reader.u32()? {
            let index = reader.u32()?;
            if operations.last().is_some_and(|(last, _)| *last >= index) {
                return None;
            }
            operations.push((index, form::read_operation(reader, texts)?));
        }
        let mut marks = Vec::new();
        for _ in 0..reader.u32()? {
            let (index, node) = (reader.u32()?, reader.u32()?);
            if node >= number(texts.len()) {
                return None;
            }
            marks.push((index, node));
        }
        Some(Self {
            id,
            header,
            operations,
            marks,
        })
    }
}
