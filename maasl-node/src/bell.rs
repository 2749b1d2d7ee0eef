//! Doorbells: waking a waiter in another process.
//!
//! Owns: one named pipe per process that may wait. Promises: ringing never
//! blocks, and ringing a process that has gone says so at once, because a pipe
//! without a reader cannot be opened. Leaves to others: who is rung (the core);
//! a ring that is lost costs time only, since waiters look by themselves.
//!
//! Pipes rather than sockets: a socket's path is limited to 108 bytes, and a
//! socket accepts connections its owner will never read.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use maasl_core::id::{SessionId, TicketNo};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use tokio::net::unix::pipe;

use crate::state_dir::entries;

/// Bytes of one ring: a ticket number. Rings are far shorter than what a pipe
/// writes at once, so they never mix.
const RING_BYTES: usize = 8;

/// The doorbells of one repository.
#[derive(Debug)]
pub struct Bells {
    dir: OwnedFd,
}

impl Bells {
    /// The doorbells in `dir`.
    #[must_use]
    pub fn new(dir: OwnedFd) -> Self {
        Self { dir }
    }

    /// Every session with a doorbell here.
    pub fn sessions(&self) -> io::Result<BTreeSet<SessionId>> {
        entries::sessions(self.dir.as_fd(), FileType::Fifo)
    }

    /// Makes the doorbell of a new session. Must be called inside a runtime.
    pub fn hang(&self, session: &SessionId) -> io::Result<Bell> {
        let name = session.as_str();
        rustix::fs::mknodat(&self.dir, name, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
        // Open for both directions: the pipe then never runs out of writers.
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.dir, name, flags, Mode::empty())?;
        let receiver = pipe::Receiver::from_owned_fd_unchecked(fd)?;
        Ok(Bell {
            receiver,
            partial: Vec::new(),
        })
    }

    /// Rings for `ticket`; whether anybody is there to hear it.
    pub fn ring(&self, session: &SessionId, ticket: TicketNo) -> io::Result<bool> {
        let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let name = entries::plain(session.as_str())?;
        let fd = match rustix::fs::openat(&self.dir, name, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NXIO | Errno::NOENT) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        match rustix::io::write(fd.as_fd(), &ticket.0.to_le_bytes()) {
            // A full pipe holds thousands of rings its owner has yet to hear.
            Ok(_) | Err(Errno::AGAIN) => Ok(true),
            Err(Errno::PIPE) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes the doorbell of a session that has ended.
    pub fn take_down(&self, session: &SessionId) -> io::Result<()> {
        let name = entries::plain(session.as_str())?;
        match rustix::fs::unlinkat(&self.dir, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// The doorbell of this process.
#[derive(Debug)]
pub struct Bell {
    receiver: pipe::Receiver,
    partial: Vec<u8>,
}

impl Bell {
    /// Waits for rings; those heard so far.
    pub async fn heard(&mut self) -> io::Result<Vec<TicketNo>> {
        loop {
            self.receiver.readable().await?;
            let mut bytes = [0; 64 * RING_BYTES];
            match self.receiver.try_read(&mut bytes) {
                Ok(read) => self.partial.extend_from_slice(&bytes[..read]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            }
            let whole = self.partial.len() / RING_BYTES * RING_BYTES;
            if whole > 0 {
                let rings = self.partial.drain(..whole).collect::<Vec<u8>>();
                let (rings, _) = rings.as_chunks::<RING_BYTES>();
                return Ok(rings
                    .iter()
                    .map(|ring| TicketNo(u64::from_le_bytes(*ring)))
                    .collect());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[tokio::test]
    async fn a_ring_is_heard_and_a_missing_listener_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let bells = Bells::new(File::open(dir.path()).unwrap().into());
        let session = SessionId::new("s1");
        assert!(
            !bells.ring(&session, TicketNo(1)).unwrap(),
            "no bell hangs there"
        );
        let mut bell = bells.hang(&session).unwrap();
        assert!(bells.ring(&session, TicketNo(7)).unwrap());
        assert!(bells.ring(&session, TicketNo(8)).unwrap());
        let mut heard = bell.heard().await.unwrap();
        while heard.len() < 2 {
            heard.extend(bell.heard().await.unwrap());
        }
        assert_eq!(heard, [TicketNo(7), TicketNo(8)]);
        drop(bell);
        assert!(
            !bells.ring(&session, TicketNo(9)).unwrap(),
            "nobody listens any more"
        );
    }

    #[test]
    fn a_name_that_leads_elsewhere_is_not_rung_or_taken_down() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("bell")).unwrap();
        std::fs::write(dir.path().join("file"), "mine").unwrap();
        let bells = Bells::new(File::open(dir.path().join("bell")).unwrap().into());
        let session = SessionId::new("../file");
        bells.ring(&session, TicketNo(7)).unwrap_err();
        bells.take_down(&session).unwrap_err();
        let content = std::fs::read_to_string(dir.path().join("file")).unwrap();
        assert_eq!(content, "mine");
    }
}
