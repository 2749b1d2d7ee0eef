//! Names of things: agents, sessions, leases, operations, tokens, contents.
//!
//! Owns: the newtypes that keep these apart. Promises: identifiers made from
//! entropy are 128 bits and unguessable as long as the entropy is; copies of a
//! name share its text. Leaves to others: where entropy comes from (an argument
//! of every call).

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use core::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Wraps `name` as it is.
            #[must_use]
            pub fn new(name: impl Into<Arc<str>>) -> Self {
                Self(name.into())
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// Who asks: the program (or subagent) that becomes holder or waiter.
    AgentId
}
name! {
    /// One run of one server process; never reused.
    SessionId
}
name! {
    /// The right to use a lease: 32 hexadecimal digits (128 bits). Knowing it
    /// is the authorisation, so it is never shown to anyone but its holder.
    LeaseId
}
name! {
    /// One attempt to commit a set of changes.
    OpId
}

name! {
    /// Who numbers the patches of a graph: a store, under a name it drew itself.
    ActorId
}

/// The agent and session behind a request. Two calls with the same owner may
/// still be different subagents, so an owner authorises nothing; it only says
/// who waits for whom.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Owner {
    /// The process the request came through.
    pub session: SessionId,
    /// The agent it was made for.
    pub agent: AgentId,
}

/// A fencing token: generation in the high 16 of 53 bits, sequence in the low
/// 37, so that a JSON client reads it exactly.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Token(u64);

impl Token {
    /// Bits of the sequence.
    pub const SEQUENCE_BITS: u32 = 37;
    /// The largest sequence of one generation.
    pub const SEQUENCE_MAX: u64 = (1 << Self::SEQUENCE_BITS) - 1;
    /// The largest generation.
    pub const GENERATION_MAX: u64 = (1 << 16) - 1;

    /// The token of `sequence` in `generation`, or nothing where either is too
    /// large: tokens stop, they never wrap.
    #[must_use]
    pub const fn new(generation: u64, sequence: u64) -> Option<Self> {
        if generation > Self::GENERATION_MAX || sequence > Self::SEQUENCE_MAX {
            return None;
        }
        Some(Self(generation << Self::SEQUENCE_BITS | sequence))
    }

    /// The token with this number.
    #[must_use]
    pub const fn from_number(number: u64) -> Self {
        Self(number)
    }

    /// The token as the number clients see.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0
    }

    /// How many boots and restores the store had seen.
    #[must_use]
    pub const fn generation(self) -> u64 {
        self.0 >> Self::SEQUENCE_BITS
    }

    /// The place within the generation.
    #[must_use]
    pub const fn sequence(self) -> u64 {
        self.0 & Self::SEQUENCE_MAX
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The place of a waiter in the queue: lower asked earlier.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct TicketNo(pub u64);

/// The SHA-256 of some bytes; written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContentHash([u8; 32]);

impl ContentHash {
    /// Stands for something that has no content to be hashed: a folder, a link, a
    /// file that may not be read. It equals the hash of no bytes that are known.
    pub const ODD: Self = Self([0; 32]);

    /// The hash of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The hash with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Whether it is the hash of a content, and not [`Self::ODD`].
    #[must_use]
    pub fn is_content(&self) -> bool {
        *self != Self::ODD
    }

    /// The 32 bytes of the hash.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads 64 hexadecimal digits of either case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 64 {
            return None;
        }
        let mut hash = [0; 32];
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = u8::try_from(hex_digit(pair[0])? * 16 + hex_digit(pair[1])?).ok()?;
        }
        Some(Self(hash))
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0[..6]))
    }
}

impl From<ContentHash> for String {
    fn from(hash: ContentHash) -> Self {
        hex(&hash.0)
    }
}

impl TryFrom<String> for ContentHash {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("a SHA-256 has 64 hexadecimal digits")
    }
}

/// Hashes a content that comes in pieces.
#[derive(Clone, Debug, Default)]
pub struct ContentHasher(Sha256);

impl ContentHasher {
    /// Adds the next piece.
    pub fn add(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    /// The hash of all pieces.
    #[must_use]
    pub fn hash(self) -> ContentHash {
        ContentHash(self.0.finalize().into())
    }
}

/// The unguessable seed of one call: every identifier the call needs is derived
/// from it, so that a replay of the call makes the same ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entropy([u8; 32]);

impl Entropy {
    /// Wraps 256 random bits.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The `n`th 128-bit identifier for `purpose`, as 32 hexadecimal digits.
    #[must_use]
    pub fn derive(&self, purpose: &str, n: u64) -> String {
        let mut digest = Sha256::new();
        digest.update(self.0);
        digest.update(purpose.as_bytes());
        digest.update(n.to_be_bytes());
        let digest: [u8; 32] = digest.finalize().into();
        hex(&digest[..16])
    }

    /// Other identifiers, for a call that is made again.
    #[must_use]
    pub fn again(&self, n: u64) -> Self {
        let mut digest = Sha256::new();
        digest.update(self.0);
        digest.update(b"again");
        digest.update(n.to_be_bytes());
        Self(digest.finalize().into())
    }
}

/// Lower-case hexadecimal digits of `bytes`.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
    }
    text
}

/// A short name for an agent that did not give one.
#[must_use]
pub fn anonymous_agent(client: &str, session: &SessionId) -> AgentId {
    let short: String = session.as_str().chars().take(6).collect();
    AgentId::new(format!("{client}#{short}"))
}

fn hex_digit(digit: u8) -> Option<u32> {
    char::from(digit).to_digit(16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn tokens_order_by_generation_then_sequence_and_stop_at_the_end() {
        let old = Token::new(1, Token::SEQUENCE_MAX).unwrap();
        let new = Token::new(2, 0).unwrap();
        assert!(old < new);
        assert_eq!((new.generation(), new.sequence()), (2, 0));
        assert_eq!(Token::new(1, Token::SEQUENCE_MAX + 1), None);
        assert_eq!(Token::new(Token::GENERATION_MAX + 1, 0), None);
        assert!(
            Token::new(Token::GENERATION_MAX, Token::SEQUENCE_MAX)
                .unwrap()
                .number()
                < 1 << 53
        );
    }

    #[test]
    fn pieces_have_the_hash_of_the_whole() {
        let mut hasher = ContentHasher::default();
        assert_eq!(hasher.clone().hash(), ContentHash::of(b""));
        for piece in [&b"a"[..], b"", b"bc"] {
            hasher.add(piece);
        }
        assert_eq!(hasher.hash(), ContentHash::of(b"abc"));
        assert!(ContentHash::of(b"").is_content() && !ContentHash::ODD.is_content());
    }

    #[test]
    fn a_hash_reads_what_it_writes() {
        let hash = ContentHash::of(b"abc");
        assert_eq!(ContentHash::parse(&hash.to_string()), Some(hash));
        assert_eq!(
            ContentHash::parse(&hash.to_string().to_uppercase()),
            Some(hash)
        );
        assert_eq!(ContentHash::parse("abc"), None);
        assert_eq!(ContentHash::parse(&"é".repeat(32)), None);
    }

    #[test]
    fn derived_identifiers_differ_by_purpose_and_number() {
        let entropy = Entropy::new([7; 32]);
        assert_eq!(entropy.derive("lease", 0).len(), 32);
        assert_ne!(entropy.derive("lease", 0), entropy.derive("lease", 1));
        assert_ne!(entropy.derive("lease", 0), entropy.derive("op", 0));
    }
}
