//! Bugs planted on purpose, so that the judges of the simulator can be judged.
//!
//! Owns: the list of planted bugs and which of them is awake. Promises: without
//! the feature `mutants` none can be, and the compiler removes every site; with
//! it, at most one is, for the whole process. Leaves to others: the sites, one
//! line each where the bug belongs, and finding the bug (`maasl-sim`).

macro_rules! mutants {
    ($($(#[doc = $words:literal])+ $mutant:ident = $name:literal,)+) => {
        /// A planted bug.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Mutant {
            $($(#[doc = $words])+ $mutant,)+
        }

        impl Mutant {
            /// All of them, in the order of the promises they threaten first.
            pub const ALL: &'static [Self] = &[$(Self::$mutant,)+];

            /// Its name on a command line.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$mutant => $name,)+
                }
            }

            /// What it does, in one line.
            #[must_use]
            pub const fn words(self) -> &'static str {
                match self {
                    $(Self::$mutant => concat!($($words),+).trim_ascii(),)+
                }
            }
        }
    };
}

mutants! {
    /// A commit is begun without a look at the lease's row and its token.
    FenceIgnoresToken = "fence-ignores-token",
    /// A commit is begun under a lease that has expired.
    FenceIgnoresExpiry = "fence-ignores-expiry",
    /// A change is committed without taking its latches.
    CommitWithoutLatch = "commit-without-latch",
    /// An expired lease is taken over without its latches.
    TakeoverWithoutLatch = "takeover-without-latch",
    /// A lease of somebody else is ended by decision without its latches.
    ForeignReleaseWithoutLatch = "foreign-release-without-latch",
    /// Open commits are not settled before their lease ends.
    OpenIntentsNotSettled = "open-intents-not-settled",
    /// A recovery settles what it had seen before it had the latches.
    RecoveryActsOnOldLook = "recovery-acts-on-old-look",
    /// The files are swapped before the intent is recorded.
    IntentAfterSwap = "intent-after-swap",
    /// A lease is over only after its last instant, `>` for `>=`.
    ExpiryOneLate = "expiry-one-late",
    /// A lease can be renewed after it expired.
    RenewAfterExpiry = "renew-after-expiry",
    /// Renewing a lease that is over extends whichever lease stands.
    RenewByAnother = "renew-by-another",

    /// Every opening of the store counts tokens from the first again.
    TokenResetOnRestart = "token-reset-on-restart",
    /// Tokens are issued before the floor that covers them is on the disk.
    TokenVisibleBeforeDurable = "token-visible-before-durable",
    /// Opening a store goes by the database alone, which may be an old copy.
    FloorIgnored = "floor-ignored",
    /// Whoever takes a lease over gets the token of its victim.
    TakeoverKeepsToken = "takeover-keeps-token",

    /// A database is written without the latch of its key.
    DbWithoutLatch = "db-without-latch",
    /// The lease of a write of a database is looked at before its work only.
    DbLeaseOnlyAtBegin = "db-lease-only-at-begin",
    /// The answer under an idempotency key is not committed with the work.
    DbAnswerOutsideTransaction = "db-answer-outside-transaction",
    /// A database that was written is answered for before it is committed.
    DbAnsweredBeforeCommit = "db-answered-before-commit",

    /// Whether a document has to be made is decided by what was read before the
    /// lease.
    DocgenGateBeforeLease = "docgen-gate-before-lease",
    /// A document that was made from this source is made again.
    DocgenNoopRewrites = "docgen-noop-rewrites",
    /// A text made from what the source no longer holds is taken.
    DocgenStaleTextTaken = "docgen-stale-text-taken",
    /// The source is not looked at again before its document is committed.
    DocgenSourceLookedAtOnce = "docgen-source-looked-at-once",
    /// Flat names of documents are as ambiguous as those of other tools.
    DocgenFlatNamesCollide = "docgen-flat-names-collide",
    /// A document that another source may claim is taken for one's own.
    DocgenClaimsIgnored = "docgen-claims-ignored",
    /// A document is counted only where its own process ends the commit.
    DocgenRecoveryUncounted = "docgen-recovery-uncounted",

    /// Of two concurrent values of a graph, the one that arrived last shows.
    GraphTieByArrival = "graph-tie-by-arrival",
    /// A patch has the time of the wall clock, whatever its author had seen.
    GraphStampByWallClock = "graph-stamp-by-wall-clock",
    /// A checkpoint of a graph forgets what was removed.
    GraphRemovalsForgotten = "graph-removals-forgotten",
    /// The answer to a patch is not kept with the patch.
    GraphAnswerOutsideTransaction = "graph-answer-outside-transaction",
    /// A patch is acknowledged before it is on the disk.
    GraphPatchNotDurable = "graph-patch-not-durable",

    /// Leases of another boot count by their times, which are of another clock.
    OldBootCounts = "old-boot-counts",
    /// Expiry is judged by the clock of the process that asks, not the store's.
    ExpiryOnHoldersClock = "expiry-on-holders-clock",
    /// Returning a lease ends every lease of the same process.
    ReleaseByAnother = "release-by-another",
    /// Returning a lease that is over ends whichever lease stands.
    OldReleaseFreesNew = "old-release-frees-new",
    /// Only the first resource of a set is looked at before it is granted.
    OnlyFirstOfSetChecked = "only-first-of-set-checked",
    /// Of a set that cannot be granted whole, what is free is granted.
    PartialSetKept = "partial-set-kept",
    /// A request for a lease that arrives twice is granted twice.
    DuplicateAcquireGrantsTwice = "duplicate-acquire-grants-twice",
    /// A lease can be taken over as soon as it expired, whatever its lock-delay.
    LockDelayIgnored = "lock-delay-ignored",
    /// Readers conflict with nobody.
    SharedConflictsWithNothing = "shared-conflicts-with-nothing",

    /// A write is not compared with what its author had seen.
    HashNotChecked = "hash-not-checked",
    /// What a swap displaced is thrown away.
    DisplacedDropped = "displaced-dropped",
    /// A swap that displaced somebody else's content is left as it is.
    SwapConflictNotTakenBack = "swap-conflict-not-taken-back",
    /// A merge takes the writer's side alone.
    MergeTakesOneSide = "merge-takes-one-side",
    /// A move takes whatever is there, also what changed since its author read it.
    MoveNotCompared = "move-not-compared",
    /// What was moved counts as seen, though its author never read it.
    MoveCountsAsSeen = "move-counts-as-seen",

    /// Recovery undoes a commit that had passed its commit point.
    RecoveryRollsBack = "recovery-rolls-back",
    /// The intent of a set is not on the disk when its first file is swapped.
    IntentNotDurable = "intent-not-durable",
    /// A commit is acknowledged before the names of its files are on the disk.
    NamesNotSynced = "names-not-synced",
    /// A file is swapped before its new content is on the disk.
    SwapBeforeSync = "swap-before-sync",
    /// A set that meets a foreign change keeps the files swapped before it.
    SetNotTakenBack = "set-not-taken-back",
    /// A commit that meets a file which may not be changed is left open.
    ForbiddenLeftOpen = "forbidden-left-open",

    /// A transaction commits its database before its intent is recorded.
    DatabaseBeforeIntent = "database-before-intent",
    /// Recovery rolls a transaction forward without asking its database.
    RecoveryAsksNoDatabase = "recovery-asks-no-database",
    /// A database does not say of which transaction its commit was a part.
    PartNotRecorded = "part-not-recorded",
    /// A transaction whose database could not be committed keeps its files.
    FailedDatabaseIgnored = "failed-database-ignored",
    /// A part in a database is said to be absent without a write that keeps it so.
    AbsentUnwritten = "absent-unwritten",

    /// A patch is appended with the intent of its transaction, not with its end.
    PatchWithIntent = "patch-with-intent",
    /// The patch of a transaction that was undone is appended all the same.
    PatchOfUndone = "patch-of-undone",
    /// Recovery rolls a transaction forward without its patch.
    PatchLostInRecovery = "patch-lost-in-recovery",
    /// The end of a transaction is answered before its patch is on the disk.
    PatchEndNotDurable = "patch-end-not-durable",
    /// A transaction whose rows could not be committed keeps its documents.
    DocumentWithoutRows = "document-without-rows",
    /// An outside change met by recovery undoes what has its rows already.
    OutsideUndoesTheRest = "outside-undoes-the-rest",

    /// The answer to a change is not recorded under its idempotency key.
    AnswerNotRecorded = "answer-not-recorded",

    /// The newest of several waiters is served first.
    NewestWaiterFirst = "newest-waiter-first",
    /// A dead holder or waiter is taken for a live one.
    WaiterLostOnCrash = "waiter-lost-on-crash",
    /// Who may not wait does not look whether those in the way are dead.
    DeadUnnoticedAtOnce = "dead-unnoticed-at-once",
    /// A release wakes nobody, and a waiter looks again only in an hour.
    LostWakeUp = "lost-wake-up",
    /// Nobody looks whether a wait closes a circle.
    CircleNotSeen = "circle-not-seen",

    /// A holder counts its lease from the reply, not from the request.
    DeadlineFromReply = "deadline-from-reply",
}

impl Mutant {
    /// The one with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let mut all = Self::ALL.iter().copied();
        all.find(|mutant| mutant.name() == name)
    }
}

/// Whether this bug is awake.
#[cfg(not(feature = "mutants"))]
#[must_use]
#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "a site must cost nothing in any build of the product"
)]
pub const fn is_active(_: Mutant) -> bool {
    false
}

#[cfg(feature = "mutants")]
pub use self::planted::{is_active, plant};

#[cfg(feature = "mutants")]
mod planted {
    use core::sync::atomic::{AtomicU8, Ordering};

    use super::Mutant;

    const NONE: u8 = u8::MAX;

    static PLANTED: AtomicU8 = AtomicU8::new(NONE);

    /// Wakes one bug in this process, or puts all to sleep.
    pub fn plant(mutant: Option<Mutant>) {
        let number = mutant.map_or(NONE, |mutant| mutant as u8);
        PLANTED.store(number, Ordering::Relaxed);
    }

    /// Whether this bug is awake.
    #[must_use]
    pub fn is_active(mutant: Mutant) -> bool {
        PLANTED.load(Ordering::Relaxed) == mutant as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mutant_is_found_by_its_name_and_says_what_it_does() {
        for mutant in Mutant::ALL {
            assert_eq!(Mutant::named(mutant.name()), Some(*mutant));
            assert!(mutant.words().ends_with('.'), "{mutant:?}");
        }
        assert_eq!(Mutant::named("no-such-bug"), None);
    }

    #[cfg(not(feature = "mutants"))]
    #[test]
    fn nothing_is_awake_in_the_product() {
        assert!(Mutant::ALL.iter().all(|mutant| !is_active(*mutant)));
    }
}
