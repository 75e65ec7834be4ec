use super::*;

fn world() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("jobs.sqlite")).unwrap();
    (folder, store)
}

fn completed(output: &str) -> Outcome {
    Outcome { end: End::Completed, output: Some(output.to_owned()), error: None }
}

fn claim_one(store: &Store, now_ms: u64) -> Claimed {
    store.claim(&["w".to_owned()], now_ms).unwrap().remove(0)
}

#[test]
fn first_in_first_out_and_the_times_add_up() {
    let (_folder, store) = world();
    for (id, created_ms) in [("a", 100), ("b", 110)] {
        store.submit(id, "{}", created_ms).unwrap();
    }
    assert_eq!(store.depth(), 2);
    let claimed = claim_one(&store, 150);
    assert_eq!(claimed, Claimed { id: "a".to_owned(), attempt: 1, input: "{}".to_owned() });
    assert_eq!(store.depth(), 1);
    store.finish("a", 1, &completed("[1]"), 180).unwrap();
    let view = store.view("a", 999).unwrap().unwrap();
    assert_eq!(view.status, JobStatus::Completed);
    assert_eq!((view.delay_time, view.execution_time, view.worker_id.as_str()), (50, 30, "w"));
    assert_eq!(view.output.unwrap().get(), "[1]");
    assert_eq!(claim_one(&store, 200).id, "b");
    assert!(store.claim(&["w".to_owned()], 200).unwrap().is_empty());
}

#[test]
fn output_is_given_as_it_came() {
    let (_folder, store) = world();
    let exact = r#"{"z":123456789012345678901234567890,"a":0.10000000000000000001}"#;
    for (id, output, expected) in [("a", exact, exact), ("b", "NaN", r#""NaN""#), ("c", "null", "null")] {
        store.submit(id, "{}", 0).unwrap();
        claim_one(&store, 1);
        store.finish(id, 1, &completed(output), 2).unwrap();
        let view = store.view(id, 3).unwrap().unwrap();
        assert_eq!(view.output.as_ref().unwrap().get(), expected);
        assert!(serde_json::to_string(&view).unwrap().contains(&format!(r#""output":{expected}"#)));
    }
}

#[test]
fn terminal_states_never_change() {
    let (_folder, store) = world();
    store.submit("a", "{}", 0).unwrap();
    claim_one(&store, 1);
    assert_eq!(
        store.cancel("a", 2).unwrap(),
        Some(Cancelled { status: JobStatus::Cancelled, was_running: true })
    );
    store.finish("a", 1, &completed("1"), 3).unwrap();
    store.release("a", 1).unwrap();
    assert_eq!(store.view("a", 4).unwrap().unwrap().status, JobStatus::Cancelled);
    assert_eq!(store.retry("a").unwrap(), Retried::Refused(JobStatus::Cancelled));
    assert_eq!(
        store.cancel("a", 5).unwrap(),
        Some(Cancelled { status: JobStatus::Cancelled, was_running: false })
    );
    assert_eq!(store.cancel("none", 5).unwrap(), None);
}

#[test]
fn an_answer_of_an_earlier_attempt_is_not_taken_for_this_one() {
    let (_folder, store) = world();
    store.submit("a", "{}", 0).unwrap();
    claim_one(&store, 1);
    store.finish("a", 9, &completed("1"), 2).unwrap();
    assert_eq!(store.view("a", 2).unwrap().unwrap().status, JobStatus::InProgress);
}

#[test]
fn a_job_cut_off_too_often_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.sqlite");
    let open = || {
        let store = Store::open(&path).unwrap();
        store.recover(50).unwrap();
        store
    };
    open().submit("a", "{}", 0).unwrap();
    for attempt in 1..=ATTEMPTS_MAX {
        let store = open();
        assert_eq!(store.depth(), 1);
        assert_eq!(claim_one(&store, 1).attempt, attempt);
    }
    let store = open();
    assert_eq!(store.depth(), 0);
    let view = store.view("a", 60).unwrap().unwrap();
    assert_eq!(view.status, JobStatus::Failed);
    assert!(view.error.unwrap().contains("3 times"));
    assert_eq!(store.retry("a").unwrap(), Retried::Queued);
    assert_eq!(claim_one(&store, 70).attempt, 1);
    assert_eq!(store.counts().unwrap().retried, 1);
}

#[test]
fn released_jobs_keep_their_place_and_their_attempts() {
    let (_folder, store) = world();
    store.submit("a", "{}", 0).unwrap();
    store.submit("b", "{}", 0).unwrap();
    claim_one(&store, 1);
    store.release("a", 1).unwrap();
    assert_eq!(store.depth(), 2);
    let again = claim_one(&store, 2);
    assert_eq!((again.id.as_str(), again.attempt), ("a", 1));
}

#[test]
fn old_results_go_waiting_jobs_stay() {
    let (_folder, store) = world();
    for (id, finished_ms) in [("a", 10), ("b", 20), ("c", 30), ("d", 40)] {
        store.submit(id, "{}", 0).unwrap();
        claim_one(&store, 1);
        store.finish(id, 1, &completed("1"), finished_ms).unwrap();
    }
    store.submit("waiting", "{}", 0).unwrap();
    store.sweep(15, 2).unwrap();
    let left = ["a", "b", "c", "d", "waiting"].map(|id| store.view(id, 99).unwrap().is_some());
    assert_eq!(left, [false, false, true, true, true]);
    assert_eq!(store.purge(50).unwrap(), ["waiting"]);
    assert_eq!(store.depth(), 0);
    let view = store.view("waiting", 99).unwrap().unwrap();
    assert_eq!((view.status, view.delay_time, view.execution_time), (JobStatus::Cancelled, 0, 0));
}

#[test]
fn the_words_of_the_database_are_those_of_the_wire() {
    use JobStatus::*;
    for status in [InQueue, InProgress, Completed, Failed, Cancelled, TimedOut] {
        assert_eq!(serde_json::to_value(status).unwrap(), status.word());
        assert_eq!(parse(status.word()), status);
    }
}

#[test]
fn what_another_endpoint_writes_is_counted_and_told() {
    let (folder, here) = world();
    let there = Store::open(&folder.path().join("jobs.sqlite")).unwrap();
    let ids = ["a".to_owned(), "b".to_owned()];
    for id in &ids {
        there.submit(id, "{}", 0).unwrap();
    }
    here.begin().unwrap();
    assert_eq!(here.depth(), 2);
    let (ended, seen) = here.ended_elsewhere(&ids, 0).unwrap();
    assert!(ended.is_empty());
    here.commit().unwrap();
    claim_one(&there, 1);
    there.finish("a", 1, &completed("1"), 2).unwrap();
    here.begin().unwrap();
    assert_eq!(here.depth(), 1);
    let (ended, seen) = here.ended_elsewhere(&ids, seen).unwrap();
    assert_eq!(ended, ["a"]);
    here.commit().unwrap();
    here.begin().unwrap();
    assert_eq!(here.ended_elsewhere(&ids, seen).unwrap(), (Vec::new(), seen), "nothing happened since");
    here.commit().unwrap();
}

#[test]
fn jobs_of_another_database_are_taken_in_once() {
    let (folder, store) = world();
    let path = folder.path().join("earlier-x.sqlite");
    {
        let earlier = Store::open(&path).unwrap();
        for id in ["done", "running", "waiting", "known"] {
            earlier.submit(id, r#"{"x":1}"#, 7).unwrap();
        }
        claim_one(&earlier, 8);
        earlier.finish("done", 1, &completed("[1]"), 9).unwrap();
        claim_one(&earlier, 10);
    }
    store.submit("known", "{}", 0).unwrap();
    assert_eq!(store.take_in(&path).unwrap(), 3);
    assert_eq!(store.take_in(&path).unwrap(), 0);
    assert_eq!(store.depth(), 3);
    let view = store.view("done", 20).unwrap().unwrap();
    assert_eq!((view.status, view.output.unwrap().get()), (JobStatus::Completed, "[1]"));
    assert_eq!((view.delay_time, view.execution_time), (1, 1));
    let order: Vec<_> = (0..3).map(|_| claim_one(&store, 30)).map(|job| (job.id, job.attempt)).collect();
    assert_eq!(order, [("known".to_owned(), 1), ("running".to_owned(), 2), ("waiting".to_owned(), 1)]);
}
