//! Plain functions of one worker that run at the same time, where its resource says so.

use serde_json::json;

use crate::world::{Project, route};

const CODE: &str = r#"
import os, threading
meeting = threading.Barrier(2)
def meet():
    meeting.wait(60)
    return os.getpid()
"#;

#[tokio::test]
async fn two_calls_meet_in_one_worker() {
    let functions = json!([route("meet", false, "POST", "/meet")]);
    let mut project = Project::new("load_balanced", CODE, functions);
    project.sync_threads = 2;
    let endpoint = project.start().await;
    // There is one worker. On one thread the first would wait for the second, which waits for the thread.
    let (one, other) = tokio::join!(endpoint.post("/meet", json!({})), endpoint.post("/meet", json!({})));
    assert_eq!((one.status, other.status), (200, 200), "{one:?} {other:?}");
    assert_eq!(one.body, other.body);
}
