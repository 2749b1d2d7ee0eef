//! The canonical bytes of a patch.
//!
//! Owns: the one form in which a patch is hashed, kept and sent. Promises: a
//! patch has one form; what can be read is a valid patch, whose form is what was
//! read; nothing is allocated on the word of a length that the bytes do not bear
//! out. Leaves to others: keeping and sending.
//!
//! Numbers are big-endian; a text is its length in four bytes and its bytes.
//! After the magic come actor, counter, stamp, the text of `seen`, the distinct
//! texts in the order of first use, and the operations, each a byte for its kind
//! and four for each text.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::super::changes::{Field, Invalid, InvalidReason, OPERATIONS_MAX, PATCH_BYTES_MAX, Part};
use super::super::codec::{Reader, Writer};
use super::super::number;
use super::super::seen::{Dot, Seen};
use super::super::stamp::Stamp;
use super::super::texts::Texts;
use super::super::value::Value;
use super::seal::{check_id, check_name, check_value, is_reserved};
use super::{Header, Kind, Packed, Patch};
use crate::id::ActorId;

const MAGIC: &[u8] = b"maasl graph patch 1\n";

pub(super) fn write(header: &Header, texts: &Texts, operations: &[Packed]) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.bytes(MAGIC);
    write_header(&mut writer, header);
    write_texts(&mut writer, texts);
    writer.u32(number(operations.len()));
    for operation in operations {
        write_operation(&mut writer, *operation);
    }
    writer.finish()
}

/// How many bytes `write` makes of these.
pub(super) fn size(header: &Header, texts: &Texts, operations: &[Packed]) -> usize {
    let mut before = Writer::default();
    before.bytes(MAGIC);
    write_header(&mut before, header);
    let word = size_of::<u32>();
    let texts = texts.iter().map(|text| word + text.len());
    let operations = operations.iter();
    let operations = operations.map(|operation| 1 + word * operation.kind.parts());
    let lists = word + texts.sum::<usize>() + word + operations.sum::<usize>();
    before.as_slice().len() + lists
}

pub(super) fn read(bytes: &[u8]) -> Result<Patch, Invalid> {
    let refuse = |reason| Invalid {
        field: Field::Patch,
        index: 0,
        reason,
    };
    check_size(bytes.len())?;
    let (header, texts, operations) =
        read_parts(bytes).ok_or_else(|| refuse(InvalidReason::Malformed))?;
    header.check()?;
    let patch = Patch::with(header, texts, operations)?;
    // The id must be that of the bytes: whatever was lax about reading shows here.
    if patch.to_bytes() != bytes {
        return Err(refuse(InvalidReason::Malformed));
    }
    Ok(patch)
}

pub(super) fn check_size(bytes: usize) -> Result<(), Invalid> {
    Part::Bytes
        .within(bytes, PATCH_BYTES_MAX)
        .map_err(|reason| Invalid {
            field: Field::Patch,
            index: 0,
            reason,
        })
}

pub(in crate::graph) fn write_header(writer: &mut Writer, header: &Header) {
    writer.text(header.dot.actor.as_str());
    writer.u64(header.dot.counter);
    writer.u64(header.stamp.number());
    writer.text(&header.seen.to_string());
}

pub(in crate::graph) fn write_texts(writer: &mut Writer, texts: &Texts) {
    writer.u32(number(texts.len()));
    for text in texts.iter() {
        writer.text(text);
    }
}

pub(in crate::graph) fn write_operation(writer: &mut Writer, operation: Packed) {
    writer.u8(operation.kind as u8);
    for part in &operation.parts[..operation.kind.parts()] {
        writer.u32(*part);
    }
}

fn read_parts(bytes: &[u8]) -> Option<(Header, Texts, Vec<Packed>)> {
    let mut reader = Reader::of(bytes);
    reader.magic(MAGIC)?;
    let header = read_header(&mut reader)?;
    let texts = read_texts(&mut reader)?;
    let operations = read_operations(&mut reader, &texts)?;
    reader.is_at_end().then_some((header, texts, operations))
}

pub(in crate::graph) fn read_header(reader: &mut Reader) -> Option<Header> {
    let dot = Dot {
        actor: ActorId::new(reader.text()?),
        counter: reader.u64()?,
    };
    let stamp = Stamp::from_number(reader.u64()?);
    let seen = Seen::try_from(String::from(reader.text()?)).ok()?;
    Some(Header { dot, stamp, seen })
}

pub(in crate::graph) fn read_texts(reader: &mut Reader) -> Option<Texts> {
    let mut texts = Texts::default();
    for n in 0..reader.u32()? {
        if texts.intern(reader.text()?) != n {
            return None;
        }
    }
    Some(texts)
}

/// Operations that use the texts in order, all of them, and are in order of
/// their kinds as far as removals come first.
fn read_operations(reader: &mut Reader, texts: &Texts) -> Option<Vec<Packed>> {
    let count = reader.u32()?;
    let mut operations: Vec<Packed> = Vec::new();
    let mut used = 0;
    for _ in 0..count {
        let operation = read_operation(reader, texts)?;
        for part in &operation.parts[..operation.kind.parts()] {
            if *part > used {
                return None;
            }
            used = used.max(*part + 1);
        }
        let is_addition = |operation: &Packed| operation.kind >= Kind::AddNode;
        let after_addition = operations.last().is_some_and(is_addition);
        if after_addition && !is_addition(&operation) {
            return None;
        }
        operations.push(operation);
    }
    let is_whole = used == number(texts.len()) && !operations.is_empty();
    (is_whole && operations.len() <= OPERATIONS_MAX && are_distinct(&operations))
        .then_some(operations)
}

pub(in crate::graph) fn read_operation(reader: &mut Reader, texts: &Texts) -> Option<Packed> {
    let kind = *Kind::ALL.get(usize::from(reader.u8()?))?;
    let mut parts = [0; 3];
    for part in &mut parts[..kind.parts()] {
        *part = reader.u32()?;
        if *part >= number(texts.len()) {
            return None;
        }
    }
    let packed = Packed { kind, parts };
    is_valid(packed, texts).then_some(packed)
}

fn is_valid(operation: Packed, texts: &Texts) -> bool {
    let [a, b, c] = operation.parts;
    let text = |n| texts.text(n);
    let named = || check_name(text(b)).is_ok();
    check_id(text(a)).is_ok()
        && match operation.kind {
            Kind::RemoveNode | Kind::AddNode => true,
            Kind::ClearProperty => named(),
            Kind::RemoveEdge | Kind::AddEdge => named() && check_id(text(c)).is_ok(),
            Kind::SetProperty => {
                named()
                    && !is_reserved(text(b))
                    && check_value(text(c)).is_ok()
                    && is_value(text(c))
            }
        }
}

/// Whether this is the canonical text of a value.
fn is_value(text: &str) -> bool {
    Value::parse(text).is_ok_and(|value| value.to_string() == text)
}

/// Whether nothing is said twice.
fn are_distinct(operations: &[Packed]) -> bool {
    let mut packed: Vec<(Kind, [u32; 3])> = operations
        .iter()
        .map(|operation| {
            let [a, b, c] = operation.parts;
            let is_value = operation.kind == Kind::SetProperty;
            (operation.kind, [a, b, if is_value { 0 } else { c }])
        })
        .collect();
    packed.sort_unstable();
    packed.windows(2).all(|pair| pair[0] != pair[1])
}
