//! `maasl init`
//!
//! Owns: the configuration snippet of each client. Promises: what else stands in
//! a client's file stays, byte for byte, and so does an entry of ours that somebody has
//! changed; a file that cannot be understood is not touched, and the snippet is shown
//! instead. Leaves to others: installing the client.

mod insertion;

use std::fs::{self, Permissions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueEnum;
use maasl_node::state_dir::StateDir;
use serde_json::{Value, json};

use self::insertion::inserted;
use super::{Failure, output};

/// Arguments of `maasl init`.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The client to configure.
    #[arg(long, value_enum)]
    client: Option<Client>,
    /// Only show what would be written.
    #[arg(long)]
    print: bool,
}

/// The clients whose project configuration is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Client {
    /// Claude Code: `.mcp.json`.
    ClaudeCode,
    /// Codex: `.codex/config.toml`.
    Codex,
    /// Cursor: `.cursor/mcp.json`.
    Cursor,
    /// Gemini CLI: `.gemini/settings.json`.
    Gemini,
    /// VS Code: `.vscode/mcp.json`.
    Vscode,
    /// Open Code: `opencode.json`.
    Opencode,
}

pub(super) fn run(root: &Path, arguments: &Arguments) -> Result<ExitCode, Failure> {
    if !arguments.print {
        let state =
            StateDir::open(root).map_err(|error| Failure::internal("state folder", error))?;
        output::line(&format!(
            "{} is ready and ignored by git",
            state.path().display()
        ));
    }
    let Some(client) = arguments.client else {
        output::line(
            "now name your client: maasl init --client claude-code|codex|cursor|gemini|vscode|opencode",
        );
        return Ok(ExitCode::SUCCESS);
    };
    let file = root.join(client.file());
    let present = if_there(fs::read(&file))
        .map_err(|error| Failure::internal(client.file(), error))?
        .unwrap_or_default();
    let merged = match String::from_utf8(present) {
        Ok(present) => client.merged(&present),
        Err(_) => Merged::NotUnderstood("is not UTF-8".into()),
    };
    match merged {
        Merged::Nothing => output::line(&format!(
            "{} already has an entry for maasl, which stays as it is",
            client.file()
        )),
        Merged::New(text) if arguments.print => output::line(text.trim_end()),
        Merged::New(text) => {
            write(&file, &text).map_err(|error| Failure::internal(client.file(), error))?;
            output::line(&format!("wrote {}", client.file()));
        }
        Merged::NotUnderstood(reason) => {
            return Err(Failure::Usage(format!(
                "{}: {reason}; add this by hand:\n{}",
                client.file(),
                client.alone()
            )));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What becomes of a client's file.
#[derive(Debug, PartialEq, Eq)]
enum Merged {
    /// It has an entry already.
    Nothing,
    /// It becomes this.
    New(String),
    /// It is not what it should be.
    NotUnderstood(String),
}

impl Client {
    const fn file(self) -> &'static str {
        match self {
            Self::ClaudeCode => ".mcp.json",
            Self::Codex => ".codex/config.toml",
            Self::Cursor => ".cursor/mcp.json",
            Self::Gemini => ".gemini/settings.json",
            Self::Vscode => ".vscode/mcp.json",
            Self::Opencode => "opencode.json",
        }
    }

    /// Where in its file a client keeps its servers.
    const fn section(self) -> &'static str {
        match self {
            Self::ClaudeCode | Self::Cursor | Self::Gemini => "mcpServers",
            Self::Codex => "mcp_servers",
            Self::Vscode => "servers",
            Self::Opencode => "mcp",
        }
    }

    fn entry(self) -> Value {
        match self {
            Self::ClaudeCode | Self::Codex => json!({ "command": "maasl", "args": ["serve"] }),
            Self::Cursor => json!({
                "command": "maasl",
                "args": ["serve", "--root", "${workspaceFolder}"],
            }),
            Self::Gemini => json!({ "command": "maasl", "args": ["serve"], "timeout": 30_000 }),
            Self::Vscode => json!({
                "type": "stdio",
                "command": "maasl",
                "args": ["serve", "--root", "${workspaceFolder}"],
            }),
            Self::Opencode => json!({
                "type": "local",
                "command": ["maasl", "serve"],
                "enabled": true,
            }),
        }
    }

    /// The snippet for an empty file.
    fn alone(self) -> String {
        match self.merged("") {
            Merged::New(text) => text,
            Merged::Nothing | Merged::NotUnderstood(_) => {
                panic!("an empty file takes a snippet")
            }
        }
    }

    fn merged(self, present: &str) -> Merged {
        if self == Self::Codex {
            return merge_toml(present);
        }
        let root = match serde_json::from_str::<Value>(present) {
            Ok(Value::Object(root)) => root,
            Ok(_) => return Merged::NotUnderstood("is no JSON object".into()),
            Err(_) if present.trim().is_empty() => {
                let whole = json!({ (self.section()): { "maasl": self.entry() } });
                return Merged::New(format!("{whole:#}\n"));
            }
            Err(error) => return Merged::NotUnderstood(error.to_string()),
        };
        let text = match root.get(self.section()) {
            None => {
                let section = json!({ "maasl": self.entry() });
                inserted(present, None, self.section(), &section)
            }
            Some(Value::Object(servers)) if servers.contains_key("maasl") => {
                return Merged::Nothing;
            }
            Some(Value::Object(_)) => {
                inserted(present, Some(self.section()), "maasl", &self.entry())
            }
            Some(_) => {
                return Merged::NotUnderstood(format!("{:?} is no object", self.section()));
            }
        };
        match text.filter(|text| self.has_entry(text)) {
            Some(text) => Merged::New(text),
            None => Merged::NotUnderstood(format!("{:?} takes no entry", self.section())),
        }
    }

    fn has_entry(self, text: &str) -> bool {
        let read = serde_json::from_str::<Value>(text);
        read.is_ok_and(|read| read[self.section()]["maasl"] == self.entry())
    }
}

/// Appends the section, so that comments and order stay as they are.
fn merge_toml(present: &str) -> Merged {
    let parsed: toml::Table = match present.parse() {
        Ok(parsed) => parsed,
        Err(error) => return Merged::NotUnderstood(error.to_string()),
    };
    let servers = parsed.get("mcp_servers");
    match servers.map(|servers| servers.get("maasl")) {
        Some(Some(_)) => return Merged::Nothing,
        Some(None) if servers.is_some_and(|servers| !servers.is_table()) => {
            return Merged::NotUnderstood("mcp_servers is no table".into());
        }
        Some(None) | None => {}
    }
    let gap = match present {
        "" => "",
        text if text.ends_with('\n') => "\n",
        _ => "\n\n",
    };
    let text =
        format!("{present}{gap}[mcp_servers.maasl]\ncommand = \"maasl\"\nargs = [\"serve\"]\n");
    // A table that is written in one line, in braces, takes no more members below it.
    if text.parse::<toml::Table>().is_err() {
        return Merged::NotUnderstood("mcp_servers takes no table after it".into());
    }
    Merged::New(text)
}

/// Writes a file, or what it is a link to, whole and with the permissions it had.
fn write(file: &Path, text: &str) -> io::Result<()> {
    let file = pointed_at(file)?;
    let folder = file.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder)?;
    let known = if_there(fs::metadata(&file))?.map(|meta| meta.permissions().mode() & 0o7777);
    // The usual ones of a new file, less the umask, which the system takes off.
    let usual = Permissions::from_mode(known.unwrap_or(0o666));
    let mut new = tempfile::Builder::new()
        .prefix(".maasl-")
        .permissions(usual)
        .tempfile_in(folder)?;
    if let Some(mode) = known {
        new.as_file()
            .set_permissions(Permissions::from_mode(mode))?;
    }
    new.write_all(text.as_bytes())?;
    new.persist(&file).map_err(|error| error.error)?;
    Ok(())
}

/// Where the content of a file is, or would be: people keep settings elsewhere and
/// put links to them.
fn pointed_at(file: &Path) -> io::Result<PathBuf> {
    if let Some(found) = if_there(fs::canonicalize(file))? {
        return Ok(found);
    }
    let folder = file.parent().unwrap_or(Path::new("/"));
    match fs::read_link(file) {
        Ok(absent) => Ok(folder.join(absent)),
        Err(_) => Ok(file.to_owned()),
    }
}

/// What was found; nothing where there is no such file.
fn if_there<T>(found: io::Result<T>) -> io::Result<Option<T>> {
    match found {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        found => found.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snippet_joins_what_is_there_and_is_written_once() {
        let present = r#"{"mcpServers": {"other": {"command": "x"}}, "theme": "dark"}"#;
        let Merged::New(text) = Client::Gemini.merged(present) else {
            panic!("something is to be written");
        };
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["theme"], "dark");
        assert_eq!(value["mcpServers"]["other"]["command"], "x");
        assert_eq!(value["mcpServers"]["maasl"]["command"], "maasl");
        assert_eq!(Client::Gemini.merged(&text), Merged::Nothing);
    }

    #[test]
    fn what_else_stands_in_a_file_stays_byte_for_byte() {
        let present = concat!(
            "{\n    \"z\": 123456789012345678901234567890,\n",
            "    \"a\": 1.0, \"a\": 1e2,\n",
            "    \"mcpServers\" : { \"other\" :{\"x\":\"\\u0041\"} }\n}",
        );
        let Merged::New(text) = Client::Cursor.merged(present) else {
            panic!("something is to be written");
        };
        let start = present.find(" }\n}").unwrap();
        let (before, after) = present.split_at(start);
        assert!(text.starts_with(before), "{text}");
        assert!(text.ends_with(after), "{text}");
        assert_eq!(Client::Cursor.merged(&text), Merged::Nothing);
    }

    #[test]
    fn every_client_gets_a_snippet_for_an_empty_file() {
        for client in Client::value_variants() {
            assert!(client.alone().contains("maasl"), "{client:?}");
            assert_eq!(
                client.merged(&client.alone()),
                Merged::Nothing,
                "{client:?}"
            );
        }
    }

    #[test]
    fn toml_keeps_its_comments() {
        let present = "# mine\nmodel = \"x\"\n";
        let Merged::New(text) = Client::Codex.merged(present) else {
            panic!("something is to be written");
        };
        assert!(text.starts_with(present));
        assert_eq!(Client::Codex.merged(&text), Merged::Nothing);
    }

    #[test]
    fn a_file_that_is_not_understood_is_left_alone() {
        for present in ["[1]", "{ // comment\n}", r#"{"mcpServers": 1}"#] {
            let merged = Client::ClaudeCode.merged(present);
            assert!(matches!(merged, Merged::NotUnderstood(_)), "{present}");
        }
    }

    #[test]
    fn an_entry_of_ours_that_was_changed_is_left_alone() {
        let present = r#"{"mcpServers": {"maasl": {"command": "x", "env": {"A": "b"}}}}"#;
        assert_eq!(Client::ClaudeCode.merged(present), Merged::Nothing);
    }

    #[test]
    fn toml_that_takes_no_more_tables_is_not_understood() {
        for present in [
            "mcp_servers = { other = { command = \"x\" } }\n",
            "mcp_servers = {}\n",
            "[[mcp_servers]]\ncommand = \"x\"\n",
            "mcp_servers = 1\n",
        ] {
            let merged = Client::Codex.merged(present);
            assert!(matches!(merged, Merged::NotUnderstood(_)), "{present}");
        }
        for present in ["[mcp_servers.other]\ncommand = \"x\"\n", "[mcp_servers]\n"] {
            let merged = Client::Codex.merged(present);
            assert!(matches!(merged, Merged::New(_)), "{present}");
        }
    }

    #[test]
    fn a_file_keeps_its_permissions_and_a_link_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real.json"), dir.path().join("link.json"));
        fs::write(&real, "old").unwrap();
        fs::set_permissions(&real, Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink("real.json", &link).unwrap();
        write(&link, "new").unwrap();
        assert_eq!(fs::read_to_string(&real).unwrap(), "new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&real), 0o600);
        fs::remove_file(&real).unwrap();
        write(&link, "again").unwrap();
        assert_eq!(fs::read_to_string(&real).unwrap(), "again");
        let plain = dir.path().join("plain");
        fs::write(&plain, "").unwrap();
        assert_eq!(mode(&real), mode(&plain), "as any new file");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
    }
}
