//! Who a call is made for.
//!
//! Owns: the order of the places where an agent's name is looked for, and what a
//! name may be. Promises: the first place that applies decides, and which one it
//! was is known. Leaves to others: what the name means; it authorises nothing.

use maasl_core::id::{AgentId, SessionId, anonymous_agent};
use maasl_core::lease::row::OUTSIDE;
use serde_json::Value;

use super::error::ErrorBody;

/// Request metadata that names the agent.
pub(crate) const META_AGENT: &str = "dev.maasl/agent";
/// Request metadata that tells the threads of one Codex apart.
pub(crate) const META_THREAD: &str = "threadId";
/// Environment variables that name the agent, first that is set.
const VARIABLES: [&str; 4] = [
    "MAASL_AGENT",
    "LLMC_TE_AGENT_ID",
    "TE_AGENT_ID",
    "CLAUDE_CODE_SESSION_ID",
];
/// Longest name of an agent, in bytes.
const NAME_BYTES_MAX: usize = 128;
/// Longest part of a client's name that an anonymous agent gets, in characters.
const CLIENT_CHARS_MAX: usize = 64;

/// The agent's name in the environment, read once when the server starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnvIdentity {
    found: Option<(&'static str, AgentId)>,
}

impl EnvIdentity {
    /// Reads the environment of this process.
    #[must_use]
    pub fn from_env() -> Self {
        Self::from_lookup(|name| std::env::var(name).ok())
    }

    /// Reads variables by `lookup`. A value that is no name is passed over.
    #[must_use]
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let found = VARIABLES.into_iter().find_map(|variable| {
            let name = lookup(variable).filter(|name| !name.is_empty())?;
            match fault(&name) {
                None => Some((variable, AgentId::new(name))),
                Some(fault) => {
                    tracing::warn!(variable, fault, "not used as the name of an agent");
                    None
                }
            }
        });
        Self { found }
    }

    /// The agent it names.
    #[must_use]
    pub fn agent(&self) -> Option<AgentId> {
        self.found.as_ref().map(|(_, agent)| agent.clone())
    }
}

/// What of a request may name the agent.
#[derive(Debug, Default)]
pub(crate) struct Clues<'c> {
    pub(crate) argument: Option<&'c str>,
    pub(crate) meta_agent: Option<&'c Value>,
    pub(crate) meta_thread: Option<&'c Value>,
    pub(crate) client: Option<&'c str>,
}

/// An agent, and the rule that found it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) agent: AgentId,
    /// `argument`, `meta:…`, `env:…` or `anonymous`.
    pub(crate) rule: String,
}

impl Identity {
    fn new(agent: &str, rule: impl Into<String>) -> Self {
        Self {
            agent: AgentId::new(agent),
            rule: rule.into(),
        }
    }

    /// Applies the rules in their order. A name that was given on purpose and
    /// cannot be used is refused; one that happens to be there is passed over.
    pub(crate) fn find(
        clues: &Clues<'_>,
        env: &EnvIdentity,
        connection: &SessionId,
    ) -> Result<Self, Box<ErrorBody>> {
        if let Some(name) = clues.argument {
            return Ok(Self::new(usable("agent", name)?, "argument"));
        }
        if let Some(value) = clues.meta_agent {
            let field = "_meta.dev.maasl/agent";
            let name = value
                .as_str()
                .ok_or_else(|| ErrorBody::invalid(field, "is not a string"))?;
            return Ok(Self::new(usable(field, name)?, "meta:dev.maasl/agent"));
        }
        let thread = clues.meta_thread.and_then(Value::as_str);
        if let Some(thread) = thread.filter(|thread| fault(thread).is_none()) {
            return Ok(Self::new(thread, "meta:threadId"));
        }
        if let Some((variable, agent)) = &env.found {
            return Ok(Self::new(agent.as_str(), format!("env:{variable}")));
        }
        Ok(Self::anonymous(clues.client, connection))
    }

    fn anonymous(client: Option<&str>, connection: &SessionId) -> Self {
        let printable = |c: &char| !c.is_control();
        let client: String = client
            .unwrap_or_default()
            .chars()
            .filter(printable)
            .take(CLIENT_CHARS_MAX)
            .collect();
        let client = if client.is_empty() {
            "anonymous"
        } else {
            &client
        };
        Self {
            agent: anonymous_agent(client, connection),
            rule: "anonymous".to_owned(),
        }
    }
}

fn usable<'n>(field: &str, name: &'n str) -> Result<&'n str, Box<ErrorBody>> {
    match fault(name) {
        None => Ok(name),
        Some(fault) => Err(ErrorBody::invalid(field, fault)),
    }
}

/// Why `name` cannot be an agent's.
fn fault(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        Some("is empty")
    } else if name.len() > NAME_BYTES_MAX {
        Some("is longer than 128 bytes")
    } else if name.chars().any(char::is_control) {
        Some("contains a control character")
    } else if name == OUTSIDE {
        Some("is reserved for changes that went past MAASL")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn find(clues: &Clues<'_>, env: &EnvIdentity) -> Result<(String, String), Box<ErrorBody>> {
        let connection = SessionId::new("0123456789abcdef");
        let identity = Identity::find(clues, env, &connection)?;
        Ok((identity.agent.to_string(), identity.rule))
    }

    fn env(variables: &[(&str, &str)]) -> EnvIdentity {
        EnvIdentity::from_lookup(|name| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_first_rule_that_applies_decides() {
        let (agent, thread) = (json!("by-meta"), json!("by-thread"));
        let mut clues = Clues {
            argument: Some("by-argument"),
            meta_agent: Some(&agent),
            meta_thread: Some(&thread),
            client: Some("client"),
        };
        let all = env(&[("TE_AGENT_ID", "te"), ("LLMC_TE_AGENT_ID", "llmc")]);
        let mut seen = Vec::new();
        seen.push(find(&clues, &all).unwrap());
        clues.argument = None;
        seen.push(find(&clues, &all).unwrap());
        clues.meta_agent = None;
        seen.push(find(&clues, &all).unwrap());
        clues.meta_thread = None;
        seen.push(find(&clues, &all).unwrap());
        seen.push(find(&clues, &env(&[])).unwrap());
        let pairs = [
            ("by-argument", "argument"),
            ("by-meta", "meta:dev.maasl/agent"),
            ("by-thread", "meta:threadId"),
            ("llmc", "env:LLMC_TE_AGENT_ID"),
            ("client#012345", "anonymous"),
        ];
        let expected = pairs.map(|(agent, rule)| (agent.to_owned(), rule.to_owned()));
        assert_eq!(seen, expected);
    }

    #[test]
    fn the_variables_have_an_order_and_unusable_values_are_passed_over() {
        let every = VARIABLES.map(|variable| (variable, variable));
        assert_eq!(env(&every).found.unwrap().0, "MAASL_AGENT");
        let odd = env(&[("MAASL_AGENT", "a\nb"), ("CLAUDE_CODE_SESSION_ID", "c")]);
        assert_eq!(odd.found.unwrap().0, "CLAUDE_CODE_SESSION_ID");
    }

    #[test]
    fn a_name_given_on_purpose_is_refused_if_it_is_none() {
        for name in ["", "a\u{7}", "outside", &"x".repeat(129)] {
            let clues = Clues {
                argument: Some(name),
                ..Clues::default()
            };
            let refused = find(&clues, &EnvIdentity::default()).unwrap_err();
            assert_eq!(refused.field.as_deref(), Some("agent"), "{name:?}");
        }
        let number = json!(7);
        let clues = Clues {
            meta_agent: Some(&number),
            ..Clues::default()
        };
        assert!(find(&clues, &EnvIdentity::default()).is_err());
    }

    #[test]
    fn a_client_without_a_decent_name_is_still_told_apart() {
        let clues = Clues {
            client: Some("\u{1b}\n"),
            ..Clues::default()
        };
        let (agent, _) = find(&clues, &EnvIdentity::default()).unwrap();
        assert_eq!(agent, "anonymous#012345");
    }
}
