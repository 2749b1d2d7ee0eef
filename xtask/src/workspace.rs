//! Where the workspace is and how its tools are run.
//!
//! Owns: child processes. Promises: they run in the workspace root, with the
//! cargo that runs us and nothing on standard input. Leaves to others: which
//! commands to run.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::output;
use crate::steps::Outcome;

/// The checkout that `cargo xtask` was started in.
pub(crate) struct Workspace {
    root: PathBuf,
    cargo: OsString,
}

impl Workspace {
    /// Finds the workspace by what cargo tells the program it runs.
    pub(crate) fn find() -> Result<Self, String> {
        let told = |name| env::var_os(name).ok_or("start me with `cargo xtask`, please");
        let package = PathBuf::from(told("CARGO_MANIFEST_DIR")?);
        let root = package.parent().ok_or("xtask lies outside a workspace")?;
        Ok(Self {
            root: root.to_owned(),
            cargo: told("CARGO")?,
        })
    }

    /// The folder of the root manifest.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The folder cargo builds in.
    pub(crate) fn target_dir(&self) -> PathBuf {
        let chosen = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
        self.root.join(chosen)
    }

    /// Where cargo puts a program that it builds in this profile.
    pub(crate) fn program(&self, profile: &str, name: &str) -> PathBuf {
        let program = self.target_dir().join(profile).join(name);
        program.with_extension(env::consts::EXE_EXTENSION)
    }

    /// A cargo command, not yet started.
    pub(crate) fn cargo(&self, args: &[&str]) -> Command {
        self.command(&self.cargo, args)
    }

    /// The compiler that cargo would use, not yet started.
    pub(crate) fn rustc(&self, args: &[&str]) -> Command {
        let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        self.command(&rustc, args)
    }

    /// Whether `cargo TOOL` is installed.
    pub(crate) fn has_cargo_tool(&self, tool: &str) -> bool {
        let mut command = self.cargo(&[tool, "--version"]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }

    fn command(&self, program: &OsString, args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(args)
            .current_dir(&self.root)
            .stdin(Stdio::null());
        command
    }
}

/// Runs a command that prints for itself; it passes if it exits with 0.
pub(crate) fn run(mut command: Command) -> Outcome {
    let shown = shown(&command);
    output::line(&format!("$ {shown}"));
    match command.status() {
        Ok(status) if status.success() => Outcome::Passed(shown),
        Ok(status) => Outcome::Failed(format!("{shown}: {status}")),
        Err(error) => Outcome::Failed(format!("{shown}: could not start: {error}")),
    }
}

/// Runs a command for what it prints.
pub(crate) fn read(mut command: Command) -> Result<String, String> {
    let shown = shown(&command);
    let done = command.stderr(Stdio::inherit()).output();
    let done = done.map_err(|error| format!("{shown}: could not start: {error}"))?;
    if !done.status.success() {
        return Err(format!("{shown}: {}", done.status));
    }
    String::from_utf8(done.stdout).map_err(|error| format!("{shown}: {error}"))
}

/// The command as one would type it: the program by its bare name.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut words = vec![program.file_stem().unwrap_or_default().to_string_lossy()];
    words.extend(command.get_args().map(|arg| arg.to_string_lossy()));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_without_the_path_of_its_program() {
        let mut command = Command::new("/somewhere/bin/cargo");
        command.args(["fmt", "--check"]);
        assert_eq!(shown(&command), "cargo fmt --check");
    }

    #[test]
    fn a_program_that_does_not_exist_is_a_failure_not_a_panic() {
        let outcome = run(Command::new("no-such-program-here"));
        assert!(matches!(outcome, Outcome::Failed(why) if why.contains("could not start")));
    }
}
