//! What clients see: names, schemas, results and refusals.

use serde_json::{Value, json};

use crate::samples::refusals;
use crate::schema;
use crate::session::{Session, answers, body, examples, params, refuses};

#[tokio::test]
async fn tools_are_listed_as_every_client_likes_them() {
    let session = Session::open(answers).await;
    let tools = session.tools().await;
    let names: Vec<&str> = tools.iter().map(|tool| tool.name.as_ref()).collect();
    let expected: Vec<&str> = examples().iter().map(|(name, _)| *name).collect();
    assert_eq!(names, expected);
    for tool in &tools {
        let plain = |c: char| c.is_ascii_lowercase() || c == '_';
        assert!(
            tool.name.len() <= 30 && tool.name.chars().all(plain),
            "{}",
            tool.name
        );
        assert!(tool.title.is_some() && tool.description.is_some());
        let annotations = tool.annotations.as_ref().expect("annotations");
        assert!(annotations.read_only_hint.is_some() && annotations.destructive_hint.is_some());
        assert!(annotations.idempotent_hint.is_some());
        let input = Value::Object((*tool.input_schema).clone());
        schema::arguments_are_described(&tool.name, &input);
        let output = tool.output_schema.as_ref().expect("an output schema");
        assert_eq!(output["required"], json!(["ok"]), "{}", tool.name);
        let text = serde_json::to_string(tool).unwrap();
        assert!(!text.contains("\"format\""), "{}: {text}", tool.name);
        assert!(!text.contains("$ref"), "{}: {text}", tool.name);
        let input = input.to_string();
        assert!(!input.contains("null"), "{}: {input}", tool.name);
    }
}

#[tokio::test]
async fn the_arguments_and_results_are_the_published_ones() {
    let session = Session::open(answers).await;
    let lines = session.tools().await.into_iter().map(|tool| {
        let input = Value::Object((*tool.input_schema).clone());
        let output = Value::Object((**tool.output_schema.as_ref().unwrap()).clone());
        format!(
            "{}\n  takes   {}\n  answers {}\n",
            tool.name,
            schema::fields(&input).join(", "),
            schema::fields(&output).join(", "),
        )
    });
    insta::assert_snapshot!(lines.collect::<String>());
}

#[tokio::test]
async fn every_success_fits_its_schema() {
    let session = Session::open(answers).await;
    let tools = session.tools().await;
    for (name, arguments) in examples() {
        let tool = tools.iter().find(|tool| tool.name == name).unwrap();
        schema::check(
            &Value::Object((*tool.input_schema).clone()),
            &arguments,
            name,
        );
        let body = session.body(name, arguments).await;
        assert_eq!(body["ok"], true, "{name}: {body}");
        let output = Value::Object((**tool.output_schema.as_ref().unwrap()).clone());
        schema::check(&output, &body, name);
    }
}

#[tokio::test]
async fn every_refusal_is_a_result_that_fits_the_schema() {
    for refusal in refusals() {
        let code = refusal.code();
        let session = Session::open(refuses(refusal)).await;
        let tools = session.tools().await;
        for (name, arguments) in examples() {
            let tool = tools.iter().find(|tool| tool.name == name).unwrap();
            let result = session.call(name, arguments).await;
            let body = body(&result);
            let output = Value::Object((**tool.output_schema.as_ref().unwrap()).clone());
            schema::check(&output, &body, &format!("{name}: {code}"));
            let asks = ["file_history", "docgen_check", "rag_search"];
            let looks = asks.contains(&name) || name.starts_with("llmc_");
            if !looks {
                assert_eq!(result.is_error, Some(true));
                assert_eq!(body["error"]["code"], code, "{name}");
            }
        }
    }
}

#[tokio::test]
async fn a_refusal_carries_what_the_caller_needs_next() {
    let mut bodies = Vec::new();
    for refusal in refusals() {
        let session = Session::open(refuses(refusal)).await;
        let body = session.body("delete_file", json!({"path": "a.txt"})).await;
        bodies.push(body["error"].clone());
    }
    insta::assert_json_snapshot!(bodies);
}

#[tokio::test]
async fn dotted_names_are_understood_and_others_are_unknown() {
    let session = Session::open(answers).await;
    let locks = session.body("llmc.locks", json!({})).await;
    assert_eq!(locks["count"], 2);
    assert_eq!(
        session.body("llmc.stomp_stats", json!({})).await["ok"],
        true
    );
    let docgen = session.body("llmc.docgen_status", json!({})).await;
    insta::assert_json_snapshot!(docgen);
    let refused = session
        .body("llmc_docgen_status", json!({"limit": 0}))
        .await;
    assert_eq!(refused["error"]["field"], "limit");
    let unknown = session
        .client
        .call_tool(params("read.file", json!({})))
        .await;
    assert!(unknown.is_err(), "not routable: an error of the protocol");
}

#[tokio::test]
async fn locks_are_filtered() {
    let session = Session::open(answers).await;
    let all = session.body("llmc_locks", json!({})).await;
    insta::assert_json_snapshot!(all);
    for (filter, count) in [
        (json!({"agent": "alice"}), 2),
        (json!({"agent": "bob"}), 0),
        (json!({"class": "CRIT_DB"}), 1),
    ] {
        let some = session.body("llmc_locks", filter.clone()).await;
        assert_eq!(some["count"], count, "{filter}");
    }
}
