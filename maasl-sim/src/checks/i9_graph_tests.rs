//! Tests of the judge of graphs.

use maasl_core::graph::changes::{Changes, Edge, Node};
use maasl_core::graph::journal::{Cursor, Journal};
use maasl_core::graph::patch::Header;
use maasl_core::graph::query::Question;
use maasl_core::graph::seen::Seen;
use maasl_core::graph::stamp::Stamp;
use maasl_core::graph::state::Merged;
use maasl_core::graph::value::Value;
use maasl_core::id::{ActorId, ContentHash};
use maasl_core::lease::command::{AppendPatch, FinishCommit};
use maasl_core::lease::outcome::Change;
use maasl_core::reply::{Beyond, GraphChanged};
use maasl_core::resource::ResourceKey;

use super::super::scene::{Scene, finish, intent, site, token};
use super::*;

fn dot(counter: u64) -> Dot {
    Dot {
        actor: ActorId::new("s"),
        counter,
    }
}

/// A patch made at `ms` that sets a property of a node, which it adds.
fn patch(counter: u64, ms: u64, seen: &Seen, value: &str) -> Patch {
    let header = Header {
        dot: dot(counter),
        stamp: Stamp::after(Stamp::ZERO, ms).unwrap(),
        seen: seen.clone(),
    };
    let node = Node {
        id: "n".into(),
        properties: [("by".into(), Value::text(value))].into(),
    };
    let edge = Edge {
        source: "n".into(),
        relation: "uses".into(),
        target: value.into(),
    };
    let changes = Changes {
        nodes_to_add: vec![node],
        edges_to_add: vec![edge],
        ..Changes::default()
    };
    Patch::seal(header, &changes).unwrap()
}

fn append(
    scene: &Scene,
    judge: &mut Graphs,
    patch: &Patch,
    key: Option<&str>,
) -> Result<(), Breach> {
    let receipt = receipt(patch);
    let end = Cursor {
        place: 1,
        patch: Some(patch.id()),
    };
    let append = AppendPatch {
        part: CommitPatch::of(MAIN, patch),
        after: None,
        lease: None,
        key: ResourceKey::new("graph", MAIN),
        request: key.map(|key| RequestKey {
            key: key.into(),
            fingerprint: ContentHash::of(b""),
        }),
        receipt,
        counts: Vec::new(),
    };
    let outcome = Outcome::Appended { end, is_new: true };
    scene.store(judge, 0, &Command::AppendPatch(Box::new(append)), &outcome)
}

fn changed(patch: &Patch) -> Box<GraphChanged> {
    Box::new(GraphChanged {
        graph: MAIN.into(),
        patch: patch.id(),
        effect: Merged::default(),
        conflicts: Vec::new(),
        conflicts_total: 0,
        seen: Seen::nothing(),
    })
}

fn receipt(patch: &Patch) -> Receipt {
    Receipt::Patched(changed(patch))
}

/// What a transaction with this patch answers.
fn together(patch: &Patch) -> Receipt {
    Receipt::Changed {
        files: Vec::new(),
        token: token(1),
        waited_ms: 0,
        beyond: Beyond {
            graph: Some(changed(patch)),
            ..Beyond::default()
        },
    }
}

/// A commit that carries a patch, which is in the journal once it has ended, or
/// is not.
fn commit(
    scene: &mut Scene,
    judge: &mut Graphs,
    patch: &Patch,
    appended: bool,
) -> Result<(), Breach> {
    let intent = CommitIntent {
        request: Some(RequestKey {
            key: "k".into(),
            fingerprint: ContentHash::of(b""),
        }),
        patch: Some(Box::new(CommitPatch::of(MAIN, patch))),
        ..intent(&[])
    };
    scene.begin(judge, &intent)?;
    let mut journal = Journal::new(MAIN);
    if appended {
        let header = patch.header();
        journal.have.insert(&header.dot, header.stamp);
    }
    scene.rows.apply(Change::PutJournal(Box::new(journal)));
    let finish = FinishCommit {
        op: intent.op,
        ..finish()
    };
    scene.finish(judge, finish, &together(patch))
}

fn view(patches: &[Patch]) -> GraphView {
    let mut graph = Graph::new();
    graph.merge(patches);
    GraphView {
        answer: graph.ask(&Question {
            node: None,
            depth: 0,
            nodes_max: 99,
            edges_max: 99,
        }),
        conflicts: graph.log(99),
        conflicts_total: graph.conflicts(),
        digest: graph.digest(),
        seen: graph.seen().clone(),
        patches: patches.len() as u64,
    }
}

fn look(scene: &Scene, judge: &mut Graphs, view: GraphView) -> Result<(), Breach> {
    scene.ask(judge, 9, &Action::GraphQuery, None, &[]).unwrap();
    scene.answered(judge, 9, Ok(Reply::Graph(Box::new(view))))
}

/// Two patches of which neither author knew the other, the later one first.
fn crossing(scene: &Scene, judge: &mut Graphs) -> [Patch; 2] {
    let patches = [
        patch(2, 20, &Seen::nothing(), "late"),
        patch(1, 10, &Seen::nothing(), "early"),
    ];
    for patch in &patches {
        append(scene, judge, patch, None).unwrap();
    }
    patches
}

#[test]
fn a_view_that_tells_what_the_patches_say_is_fine() {
    let (scene, mut judge) = (Scene::new(&[]), Graphs::default());
    let patches = crossing(&scene, &mut judge);
    scene.answer(&mut judge, 1, &receipt(&patches[0])).unwrap();
    look(&scene, &mut judge, view(&patches)).unwrap();
    look(&scene, &mut judge, view(&patches)).unwrap();
}

#[test]
fn what_differs_from_the_patches_is_reported() {
    let spoil: [fn(&mut GraphView); 5] = [
        |view| drop(view.answer.nodes.pop()),
        |view| drop(view.conflicts.pop()),
        |view| view.answer.nodes[0].properties.clear(),
        |view| view.conflicts[0].winner = None,
        |view| {
            let edge = Edge {
                source: "n".into(),
                relation: "uses".into(),
                target: "n".into(),
            };
            view.answer.edges.push(edge);
        },
    ];
    for spoil in spoil {
        let (scene, mut judge) = (Scene::new(&[]), Graphs::default());
        let patches = crossing(&scene, &mut judge);
        let mut shown = view(&patches);
        spoil(&mut shown);
        let judged = look(&scene, &mut judge, shown);
        assert_eq!(site(judged), Some("not-what-patches-say"));
    }
}

#[test]
fn a_digest_of_something_else_is_reported() {
    let (scene, mut judge) = (Scene::new(&[]), Graphs::default());
    let patches = crossing(&scene, &mut judge);
    let other = GraphView {
        digest: ContentHash::of(b"other"),
        ..view(&patches)
    };
    let judged = look(&scene, &mut judge, other);
    assert_eq!(site(judged), Some("order-matters"));
}

#[test]
fn a_patch_that_is_acknowledged_must_be_there_and_shown() {
    let (scene, mut judge) = (Scene::new(&[]), Graphs::default());
    let patches = crossing(&scene, &mut judge);
    let strange = patch(7, 70, &Seen::nothing(), "strange");
    let judged = scene.answer(&mut judge, 1, &receipt(&strange));
    assert_eq!(site(judged), Some("acknowledged-and-not-there"));
    scene.answer(&mut judge, 1, &receipt(&patches[0])).unwrap();
    let judged = look(&scene, &mut judge, view(&patches[1..]));
    assert_eq!(site(judged), Some("acknowledged-and-not-shown"));
    let fewer = GraphView {
        patches: 1,
        ..view(&patches)
    };
    let judged = look(&scene, &mut judge, fewer);
    assert_eq!(site(judged), Some("not-of-its-patches"));
}

#[test]
fn what_was_acknowledged_survives_a_power_cut() {
    let (mut scene, mut judge) = (Scene::new(&[]), Graphs::default());
    let patches = crossing(&scene, &mut judge);
    scene.answer(&mut judge, 1, &receipt(&patches[0])).unwrap();
    let mut journal = Journal::new(MAIN);
    journal.have.insert(&dot(2), patches[0].header().stamp);
    scene.rows.apply(Change::PutJournal(Box::new(journal)));
    scene.show(&mut judge, &Observation::PowerCut).unwrap();
    look(&scene, &mut judge, view(&patches[..1])).unwrap();
    scene
        .rows
        .apply(Change::PutJournal(Box::new(Journal::new(MAIN))));
    let judged = scene.show(&mut judge, &Observation::PowerCut);
    assert_eq!(site(judged), Some("acknowledged-and-lost"));
}

#[test]
fn a_key_appends_one_patch_and_a_dot_names_one() {
    let (scene, mut judge) = (Scene::new(&[]), Graphs::default());
    append(
        &scene,
        &mut judge,
        &patch(1, 10, &Seen::nothing(), "a"),
        Some("k"),
    )
    .unwrap();
    let again = patch(2, 10, &Seen::nothing(), "a");
    let judged = append(&scene, &mut judge, &again, Some("k"));
    assert_eq!(site(judged), Some("appended-twice"));
    let twin = patch(1, 30, &Seen::nothing(), "b");
    let judged = append(&scene, &mut judge, &twin, None);
    assert_eq!(site(judged), Some("dot-used-twice"));
}

#[test]
fn a_patch_that_is_later_than_what_its_author_had_seen_is_fine() {
    // One that is not cannot be read here: only a planted bug lets it be.
    let (scene, mut judge) = (Scene::new(&[]), Graphs::default());
    let first = patch(1, 50, &Seen::nothing(), "a");
    append(&scene, &mut judge, &first, None).unwrap();
    let mut seen = Seen::nothing();
    seen.insert(&dot(1), first.header().stamp);
    append(&scene, &mut judge, &patch(2, 51, &seen, "b"), None).unwrap();
}

#[test]
fn a_patch_that_came_with_a_commit_is_one_of_the_graph() {
    let (mut scene, mut judge) = (Scene::new(&[]), Graphs::default());
    let patch = patch(1, 10, &Seen::nothing(), "a");
    commit(&mut scene, &mut judge, &patch, true).unwrap();
    scene.answer(&mut judge, 1, &together(&patch)).unwrap();
    look(&scene, &mut judge, view(&[patch])).unwrap();
    let judged = look(&scene, &mut judge, view(&[]));
    assert_eq!(site(judged), Some("acknowledged-and-not-shown"));
}

#[test]
fn a_patch_that_its_commit_did_not_append_may_not_be_acknowledged() {
    let (mut scene, mut judge) = (Scene::new(&[]), Graphs::default());
    crossing(&scene, &mut judge);
    let patch = patch(3, 30, &Seen::nothing(), "a");
    commit(&mut scene, &mut judge, &patch, false).unwrap();
    let judged = scene.answer(&mut judge, 1, &together(&patch));
    assert_eq!(site(judged), Some("acknowledged-and-not-there"));
}

#[test]
fn a_commit_and_a_patch_by_itself_may_not_share_a_key() {
    let (mut scene, mut judge) = (Scene::new(&[]), Graphs::default());
    let first = patch(1, 10, &Seen::nothing(), "a");
    commit(&mut scene, &mut judge, &first, true).unwrap();
    let second = patch(2, 20, &Seen::nothing(), "b");
    let judged = append(&scene, &mut judge, &second, Some("k"));
    assert_eq!(site(judged), Some("appended-twice"));
}

#[test]
fn only_an_old_copy_excuses_a_patch_that_is_nowhere() {
    let (scene, mut judge) = (Scene::new(&[]), Graphs::default());
    let patch = patch(1, 10, &Seen::nothing(), "a");
    let judged = scene.answer(&mut judge, 1, &receipt(&patch));
    assert_eq!(site(judged), Some("acknowledged-and-not-there"));
    scene.show(&mut judge, &Observation::Restored).unwrap();
    scene.answer(&mut judge, 1, &receipt(&patch)).unwrap();
}
