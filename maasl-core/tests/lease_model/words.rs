//! The reference's words in the words of the table.
//!
//! Owns: translation, and nothing else.

use std::collections::BTreeSet;

use maasl_core::id::{AgentId, LeaseId, OpId, Owner, SessionId, Token};
use maasl_core::lease::{CommitIntent, CommitItem};
use maasl_core::reply::{Beyond, Receipt};
use maasl_core::resource::{Extent, Mode, ResourceKey, Scope, Want};

use crate::reference::{Grant, Need, Path, Who};

pub(crate) fn key(path: &Path) -> ResourceKey {
    ResourceKey::new("code", &path.join("/"))
}

pub(crate) fn keys(paths: &BTreeSet<Path>) -> BTreeSet<ResourceKey> {
    paths.iter().map(key).collect()
}

pub(crate) fn owner(who: Who) -> Owner {
    Owner {
        session: SessionId::new(format!("s{}", who.0)),
        agent: AgentId::new(format!("a{}", who.1)),
    }
}

pub(crate) fn wants(needs: &[Need]) -> Vec<Want> {
    let want = |need: &Need| Want {
        extent: extent(need),
        mode: if need.alone {
            Mode::Exclusive
        } else {
            Mode::Shared
        },
        class: "CRIT_CODE".into(),
    };
    needs.iter().map(want).collect()
}

pub(crate) fn extent(need: &Need) -> Extent {
    Extent {
        key: key(&need.path),
        scope: if need.deep {
            Scope::Subtree
        } else {
            Scope::Exact
        },
    }
}

pub(crate) fn lease_id(id: u32) -> LeaseId {
    LeaseId::new(format!("lease{id}"))
}

pub(crate) fn op_id(op: u32) -> OpId {
    OpId::new(format!("op{op}"))
}

pub(crate) fn intent(
    op: u32,
    grant: &Grant,
    path: &Path,
    latches: &BTreeSet<Path>,
    release: bool,
) -> CommitIntent {
    let item = CommitItem {
        path: path.join("/"),
        key: key(path),
        op: "write".into(),
        stage: format!("stage{op}"),
        old: None,
        new: None,
        size_bytes: 0,
    };
    CommitIntent {
        op: op_id(op),
        lease: lease_id(grant.id),
        token: Token::from_number(grant.token),
        owner: owner(grant.who),
        latches: latches.iter().map(key).collect(),
        items: vec![item],
        receipt: Receipt::Changed {
            files: Vec::new(),
            token: Token::from_number(grant.token),
            waited_ms: 0,
            beyond: Beyond::default(),
        },
        request: None,
        release,
        turned_back: false,
        database: None,
        patch: None,
    }
}
