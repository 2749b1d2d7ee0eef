//! Running a program under `strace`, and reading what it wrote.
//!
//! Owns: the calls that are asked for, and the form of the log. Promises: calls
//! come in the order in which the kernel began and ended them, whichever thread
//! made them: the tracer stops a thread before and after each call, and lets none
//! go on before it has written the line. A missing `strace` is said, never passed
//! over. Leaves to others: what the calls did (`recording`).

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

/// Calls that change files, sync them, or would change them in a way that the
/// recording does not understand, so that it can say so.
const CALLS: &str = "open,openat,openat2,creat,write,pwrite64,writev,pwritev,pwritev2,lseek,\
    truncate,ftruncate,fallocate,rename,renameat,renameat2,link,linkat,symlink,symlinkat,\
    unlink,unlinkat,rmdir,mkdir,mkdirat,mknod,mknodat,fsync,fdatasync,sync,syncfs,\
    sync_file_range,mmap,copy_file_range,sendfile,splice,io_uring_setup";

/// One call: its name, its arguments as `strace` writes them, and what it returned.
#[derive(Debug)]
pub(crate) struct Syscall {
    pub(crate) name: String,
    pub(crate) arguments: Vec<String>,
    /// Negative if it failed.
    pub(crate) value: i64,
    /// The path behind a descriptor that it returned.
    pub(crate) opened: Option<String>,
}

/// A call begins, with the arguments known by then, or ends.
#[derive(Debug)]
pub(crate) enum Event {
    Began(u64, String, Vec<String>),
    Ended(u64, Syscall),
}

/// Runs a program under `strace`; its log.
pub(crate) fn trace(program: &mut Command, log: &Path) -> String {
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-y", "-xx", "-qq", "--seccomp-bpf"])
        .args(["-s", "16777216", "-e", "signal=none"])
        .arg(format!("--trace={CALLS}"))
        .arg("-o")
        .arg(log)
        .arg(program.get_program())
        .args(program.get_args())
        .stdin(Stdio::null());
    for (name, value) in program.get_envs() {
        strace.env(name, value.unwrap());
    }
    let ended = match strace.output() {
        Ok(ended) => ended,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => panic!(
            "this test records what the program asks of the kernel with `strace`, \
             which is not installed (Debian: apt-get install strace)"
        ),
        Err(error) => panic!("strace: {error}"),
    };
    assert!(
        ended.status.success(),
        "the program failed under strace, or tracing is not permitted here:\n{}{}",
        String::from_utf8_lossy(&ended.stdout),
        String::from_utf8_lossy(&ended.stderr)
    );
    std::fs::read_to_string(log).unwrap()
}

/// The calls in a log.
pub(crate) fn events(log: &str) -> Vec<Event> {
    let mut open: BTreeMap<u64, String> = BTreeMap::new();
    let mut events = Vec::new();
    for line in log.lines() {
        let (thread, rest) = line.split_once(' ').expect("a line begins with a thread");
        let thread: u64 = thread.parse().expect("a thread is a number");
        let rest = rest.trim_start();
        if rest.starts_with("+++") || rest.starts_with("---") {
            continue;
        }
        let whole = if let Some(begun) = rest.strip_suffix("<unfinished ...>") {
            events.push(began(thread, begun));
            open.insert(thread, begun.trim_end().to_owned());
            continue;
        } else if let Some(resumed) = rest.strip_prefix("<... ") {
            let (_, more) = resumed.split_once("resumed>").expect("a call goes on");
            let begun = open.remove(&thread).expect("a call that goes on has begun");
            begun + more
        } else {
            events.push(began(thread, rest));
            rest.to_owned()
        };
        events.extend(ended(thread, &whole));
    }
    events
}

fn began(thread: u64, text: &str) -> Event {
    let (name, rest) = text.split_once('(').expect("a call has arguments");
    let rest = split_result(rest).map_or(rest, |(arguments, _)| arguments);
    Event::Began(thread, name.to_owned(), arguments(rest))
}

/// Nothing for a call that never returned.
fn ended(thread: u64, text: &str) -> Option<Event> {
    let (name, rest) = text.split_once('(').expect("a call has arguments");
    let (before, result) = split_result(rest).expect("a call returns something");
    let number = result.split([' ', '<']).next().unwrap_or_default();
    if number == "?" {
        return None;
    }
    let value = match number.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16),
        None => number.parse(),
    };
    let call = Syscall {
        name: name.to_owned(),
        arguments: arguments(before),
        value: value.unwrap_or_else(|error| panic!("{error}: {result}")),
        opened: path_of(result),
    };
    Some(Event::Ended(thread, call))
}

/// Texts are in hexadecimal digits, so a closing parenthesis before `=` is the end
/// of the arguments.
fn split_result(rest: &str) -> Option<(&str, &str)> {
    rest.match_indices(')').find_map(|(at, _)| {
        let result = rest[at + 1..].trim_start().strip_prefix("= ")?;
        Some((&rest[..at], result))
    })
}

fn arguments(text: &str) -> Vec<String> {
    let (mut depth, mut found) = (0, vec![String::new()]);
    for character in text.trim_end().trim_end_matches(',').chars() {
        match character {
            '{' | '[' | '(' => depth += 1,
            '}' | ']' | ')' => depth -= 1,
            ',' if depth == 0 => {
                found.push(String::new());
                continue;
            }
            _ => {}
        }
        found.last_mut().unwrap().push(character);
    }
    found.iter().map(|text| text.trim().to_owned()).collect()
}

/// The path of a descriptor, as in `3<\x2f\x74>`; nothing for one that was removed.
pub(crate) fn path_of(descriptor: &str) -> Option<String> {
    let (_, path) = descriptor.split_once('<')?;
    let (path, behind) = path.split_once('>')?;
    let is_removed = behind.contains("(deleted)");
    (!is_removed).then(|| String::from_utf8(unescape(path)).expect("paths here are UTF-8"))
}

/// The bytes of a text, as in `"\x61\x62"`.
pub(crate) fn bytes_of(text: &str) -> Vec<u8> {
    let inner = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    unescape(inner.unwrap_or_else(|| panic!("no whole text: {text}")))
}

fn unescape(text: &str) -> Vec<u8> {
    let pairs = text.split("\\x").skip(1);
    pairs
        .map(|digits| {
            u8::from_str_radix(digits, 16).unwrap_or_else(|error| panic!("{error}: {text}"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_threads_that_cross_are_told_apart() {
        let log = "7 fsync(3<\\x2f\\x61> <unfinished ...>\n\
            8 pwrite64(4<\\x2f\\x62>, \"\\x68\\x69\", 2, 4096) = 2\n\
            8 unlink(\"\\x63\")        = -1 ENOENT (No such file or directory)\n\
            7 <... fsync resumed>)     = 0\n\
            7 exit_group(0)            = ?\n\
            8 fsync(4<\\x2f\\x62>(deleted)) = 0\n\
            8 +++ exited with 0 +++\n";
        let told: Vec<String> = events(log)
            .iter()
            .map(|event| match event {
                Event::Began(thread, name, _) => format!("{thread} {name}"),
                Event::Ended(thread, call) => format!("{thread} = {}", call.value),
            })
            .collect();
        let expected = [
            "7 fsync",
            "8 pwrite64",
            "8 = 2",
            "8 unlink",
            "8 = -1",
            "7 = 0",
            "7 exit_group",
            "8 fsync",
            "8 = 0",
        ];
        assert_eq!(told, expected);
        let Event::Ended(_, write) = &events(log)[2] else {
            panic!("the write ended");
        };
        assert_eq!(path_of(&write.arguments[0]).unwrap(), "/b");
        assert_eq!(bytes_of(&write.arguments[1]), b"hi");
        assert_eq!(write.arguments[2..], ["2", "4096"]);
        assert_eq!(path_of("4<\\x2f\\x62>(deleted)"), None);
    }
}
