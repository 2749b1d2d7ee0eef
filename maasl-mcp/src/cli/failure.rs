//! How a command can fail, and with which exit code.

use std::process::ExitCode;

use maasl_core::refusal::Refusal;
use maasl_node::node::{HistoryError, OpenError};
use maasl_node::store::StoreError;
use maasl_node::store::sqlite::repair::RepairError;

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// An expected no.
    #[error("{refusal}{}", hint(refusal))]
    Refused {
        /// Which.
        refusal: Refusal,
    },
    /// What was asked needs others to end first.
    #[error("{0}")]
    NotNow(String),
    /// The arguments or the configuration cannot be used.
    #[error("{0}")]
    Usage(String),
    /// Something broke.
    #[error("{0}")]
    Internal(String),
}

fn hint(refusal: &Refusal) -> String {
    let hint = refusal.hint();
    if hint.is_empty() {
        hint
    } else {
        format!("\nhint: {hint}")
    }
}

impl Failure {
    /// The exit code of the process.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Internal(_)
            | Self::Refused {
                refusal: Refusal::Internal { .. },
            } => 3,
            Self::Refused { .. } | Self::NotNow(_) => 1,
            Self::Usage(_) => 2,
        })
    }

    /// Something of the system that broke, and at what.
    pub(super) fn internal(what: &str, error: impl std::fmt::Display) -> Self {
        Self::Internal(format!("{what}: {error}"))
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused { refusal }
    }
}

impl From<OpenError> for Failure {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Config(error) => Self::Usage(error.to_string()),
            OpenError::Unsupported(_) => Self::Usage(error.to_string()),
            OpenError::Root(error) => Self::Usage(error.to_string()),
            OpenError::StateDir(_) | OpenError::Store(_) | OpenError::Io { .. } => {
                Self::Internal(error.to_string())
            }
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Internal(error.to_string())
    }
}

impl From<RepairError> for Failure {
    fn from(error: RepairError) -> Self {
        match error {
            RepairError::Living { .. } | RepairError::InUse(_) => Self::NotNow(error.to_string()),
            RepairError::Store(error) => error.into(),
        }
    }
}

impl From<HistoryError> for Failure {
    fn from(error: HistoryError) -> Self {
        match error {
            HistoryError::Path(refusal) => Refusal::Path(refusal).into(),
            HistoryError::Store(error) => error.into(),
        }
    }
}
