//! Points by name.
//!
//! Owns: which there are, and what each of them is called. Promises: scenarios ask
//! for a point by the name that it has here. Leaves to others: noticing them.

/// Declares the points: each has the name by which scenarios ask for it.
macro_rules! points {
    ($($point:ident $name:literal $doc:literal,)*) => {
        /// Something that ought to happen sometimes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum PointName {
            $(#[doc = $doc] $point,)*
        }

        impl PointName {
            /// All, in order.
            pub const ALL: &[Self] = &[$(Self::$point,)*];

            /// Its name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$point => $name,)*
                }
            }
        }
    };
}

points! {
    StaleWriteRejected "stale write rejected" "A commit under a lease that is over was refused by the store.",
    StaleContentRefused "stale content refused" "A change of what its author had not seen was refused.",
    PausedHolderReplaced "takeover of a paused holder" "A lease was taken from a process that stands still.",
    DeadHolderReplaced "takeover of a dead holder" "A lease was taken from a dead process.",
    RecoveredForward "recovery rolled forward" "Somebody finished a commit for another process.",
    RecoveredBack "recovery undone" "Somebody undid a commit for another process, or part of it.",
    CommitTurnedBack "commit turned back" "A commit met a foreign change and was undone.",
    AnsweredFromRecord "duplicate answered from the record" "A request was answered by what an earlier sending did.",
    ServedAfterDeath "waiter granted after a death" "A waiter got a lease that a dead process had held.",
    SwapMetOutside "swap met an outside change" "A swap displaced, or missed, what nobody expected there.",
    ConflictTold "conflict told" "An agent was told that both contents exist.",
    DeadlockRefused "deadlock refused" "A request that would close a circle was refused.",
    BatchPassed "interactive bypass" "An interactive request went past a batch request.",
    LeaseLostTold "lease lost told" "An agent was told that its lease is gone.",
    Merged "merge" "A write was merged with a change its author had not seen.",
    Rebased "rebase" "An edit was applied to content its author had not seen.",
    LatchBusy "latch busy" "A call gave up because a process stayed inside what it needed.",
    LeaseBusy "lease busy" "A call gave up waiting for a lease.",
    GateBusy "gate busy" "A call gave up because the store's gate stayed shut.",
    FloorRaised "floor raised" "Room for tokens was reserved during a run.",
    GenerationRose "generation rose" "The store was opened under another boot.",
    LeaseRenewed "lease renewed" "A lease was extended.",
    LeaseRevoked "lease revoked" "A lease was taken away by decision.",
    SharedTogether "shared leases together" "Two shared leases stood on one resource.",
    DatabaseWritten "database written" "A guarded transaction was committed.",
    DatabaseReplayed "database answered from the record" "A database answered a request that it had carried out before.",
    DatabaseGivenUp "database given up" "A guarded transaction did its work and was not committed.",
    DocumentMade "document made" "A document was written.",
    DocumentFresh "document left alone" "A document had been made from its source already.",
    DocumentStale "stale document refused" "A text made from what its source no longer holds was refused.",
    TransactionWhole "transaction committed" "Files and rows took effect together.",
    TransactionOfAll "transaction of all parts committed" "A document, rows and a patch took effect together.",
    TransactionMetOutside "transaction whole beside an outside change" "A transaction stands, but for a file that somebody outside has changed since.",
    TransactionUndone "transaction undone by its database" "Recovery undid files because their rows were not there.",
    GraphPatched "graph patched" "A patch was appended to the journal of a graph.",
    GraphConflictTold "graph conflict told" "An agent was told of a conflict in a graph.",
    PatchRecovered "patch appended by recovery" "Whoever finished a transaction for another process appended its patch.",
    PatchUndone "patch undone with its transaction" "A transaction was taken back, and its patch was not appended.",
    GraphForeseenAnew "graph answer made anew" "A patch met others that were appended since its answer was made.",
    GraphCheckpointKept "graph checkpoint kept" "A checkpoint took the place of patches.",
    GraphCheckpointRead "graph read from a checkpoint" "A graph was read from a checkpoint.",
    DeadForgotten "the dead forgotten by who ran on" "A process forgot one that had died while it ran.",
    MovedBack "file moved back" "A file got back a name that it had given up.",
    FoundSettled "recovery found it settled" "A process looked again at a commit of a dead one that somebody else had settled meanwhile.",
    ForbiddenMet "forbidden change met" "A swap was tried on a file that may not be changed.",
    DatabaseCameBack "database commit came back" "A commit that nobody had seen came out of a database's log.",
    DeadReplacedAtOnce "dead holder replaced without a wait" "A request that may not wait got what a dead process had held.",
    ServedInQuiet "waiter served in quiet" "Once nothing went wrong any more, somebody waited and was served.",
    ShortContentMet "short content met" "A change was refused, because its file holds content that was cut short.",
    PowerCutSettled "commit settled after a power cut" "A commit that a power cut interrupted was settled.",
}
