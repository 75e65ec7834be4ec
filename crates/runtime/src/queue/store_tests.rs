use super::*;

fn world() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("jobs.sqlite")).unwrap();
    (folder, store)
}

fn job(input: &str) -> Submission {
    Submission { input: input.into(), policy: Policy::default(), webhook: None }
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
        store.submit(id, &job("{}"), created_ms).unwrap();
    }
    assert_eq!(store.backlog().jobs, 2);
    let claimed = claim_one(&store, 150);
    assert_eq!((claimed.id.as_str(), claimed.attempt, claimed.input.as_str()), ("a", 1, "{}"));
    assert_eq!((claimed.execution_timeout, claimed.expires_ms), (None, 100 + TTL_DEFAULT_MS));
    assert_eq!(store.backlog().jobs, 1);
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
        store.submit(id, &job("{}"), 0).unwrap();
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
    store.submit("a", &job("{}"), 0).unwrap();
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
    store.submit("a", &job("{}"), 0).unwrap();
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
        store.recover(Gone::AllBut(&[]), 50).unwrap();
        store
    };
    open().submit("a", &job("{}"), 0).unwrap();
    for attempt in 1..=ATTEMPTS_MAX {
        let store = open();
        assert_eq!(store.backlog().jobs, 1);
        assert_eq!(claim_one(&store, 1).attempt, attempt);
    }
    let store = open();
    assert_eq!(store.backlog().jobs, 0);
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
    store.submit("a", &job("{}"), 0).unwrap();
    store.submit("b", &job("{}"), 0).unwrap();
    claim_one(&store, 1);
    store.release("a", 1).unwrap();
    assert_eq!(store.backlog().jobs, 2);
    let again = claim_one(&store, 2);
    assert_eq!((again.id.as_str(), again.attempt), ("a", 1));
}

#[test]
fn old_results_go_waiting_jobs_stay() {
    let (_folder, store) = world();
    for (id, finished_ms) in [("a", 10), ("b", 20), ("c", 30), ("d", 40)] {
        store.submit(id, &job("{}"), 0).unwrap();
        claim_one(&store, 1);
        store.finish(id, 1, &completed("1"), finished_ms).unwrap();
    }
    store.submit("waiting", &job("{}"), 0).unwrap();
    let sweep = |since_ms, jobs_max, bytes_max, step| {
        store.sweep(Kept { since_ms, jobs_max, bytes_max, step }).unwrap()
    };
    let left = || ["a", "b", "c", "d", "waiting"].map(|id| store.view(id, 99).unwrap().is_some());
    assert_eq!(sweep(15, 2, 99, 9), 2);
    assert_eq!(left(), [false, false, true, true, true]);
    assert_eq!(sweep(15, 2, 99, 9), 0);
    assert_eq!(sweep(15, 2, 1, 9), 1, "each has one byte");
    assert_eq!(left(), [false, false, false, true, true]);
    assert_eq!(store.purge(50).unwrap(), ["waiting"]);
    assert_eq!(store.backlog().jobs, 0);
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
        there.submit(id, &job("{}"), 0).unwrap();
    }
    here.begin().unwrap();
    assert_eq!(here.backlog().jobs, 2);
    let (ended, seen) = here.ended_elsewhere(&ids, 0).unwrap();
    assert!(ended.is_empty());
    here.commit().unwrap();
    claim_one(&there, 1);
    there.finish("a", 1, &completed("1"), 2).unwrap();
    here.begin().unwrap();
    assert_eq!(here.backlog().jobs, 1);
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
            earlier.submit(id, &job(r#"{"x":1}"#), 7).unwrap();
        }
        claim_one(&earlier, 8);
        earlier.finish("done", 1, &completed("[1]"), 9).unwrap();
        claim_one(&earlier, 10);
    }
    store.submit("known", &job("{}"), 0).unwrap();
    assert_eq!(store.take_in(&path).unwrap(), 3);
    assert_eq!(store.take_in(&path).unwrap(), 0);
    assert_eq!(store.backlog().jobs, 3);
    let view = store.view("done", 20).unwrap().unwrap();
    assert_eq!((view.status, view.output.unwrap().get()), (JobStatus::Completed, "[1]"));
    assert_eq!((view.delay_time, view.execution_time), (1, 1));
    let order: Vec<_> = (0..3).map(|_| claim_one(&store, 30)).map(|job| (job.id, job.attempt)).collect();
    assert_eq!(order, [("known".to_owned(), 1), ("running".to_owned(), 2), ("waiting".to_owned(), 1)]);
}

#[test]
fn what_is_removed_in_one_go_is_bounded_and_the_oldest() {
    let (_folder, store) = world();
    for id in ["a", "b", "c"] {
        store.submit(id, &job("{}"), 0).unwrap();
        claim_one(&store, 1);
        store.finish(id, 1, &completed("1"), 2).unwrap();
    }
    let kept = Kept { since_ms: 0, jobs_max: 0, bytes_max: 99, step: 1 };
    for left in [2, 1, 0] {
        assert_eq!(store.sweep(kept).unwrap(), 1);
        let ids = ["a", "b", "c"].map(|id| store.view(id, 9).unwrap().is_some());
        assert_eq!(ids, [false, left > 1, left > 0]);
    }
    assert_eq!(store.sweep(kept).unwrap(), 0);
}

#[test]
fn a_policy_goes_with_its_job_and_the_backlog_adds_up() {
    let (_folder, store) = world();
    let policy =
        Policy { execution_timeout: Some(Duration::from_secs(9)), ttl_ms: Some(50), is_low_priority: true };
    store.submit("a", &Submission { input: "[1]".into(), policy, webhook: None }, 100).unwrap();
    store.submit("b", &job("{}"), 100).unwrap();
    assert_eq!(store.backlog(), Backlog { jobs: 2, low_priority: 1, bytes: 5 });
    let claimed = claim_one(&store, 110);
    assert_eq!((claimed.execution_timeout, claimed.expires_ms), (Some(Duration::from_secs(9)), 150));
    assert_eq!(store.backlog(), Backlog { jobs: 1, low_priority: 0, bytes: 2 });
    store.release("a", 1).unwrap();
    assert_eq!(store.backlog(), Backlog { jobs: 2, low_priority: 1, bytes: 5 });
    claim_one(&store, 120);
    let failed = Outcome { end: End::Failed, output: Some("null".to_owned()), error: None };
    store.finish("a", 2, &failed, 130).unwrap();
    store.finish("a", 1, &failed, 130).unwrap();
    assert_eq!(store.retry("a").unwrap(), Retried::Queued);
    assert_eq!(store.backlog(), Backlog { jobs: 2, low_priority: 1, bytes: 5 });
    store.cancel("a", 140).unwrap();
    assert_eq!(store.backlog(), Backlog { jobs: 1, low_priority: 0, bytes: 2 });
    let told = store.backlog();
    store.recount().unwrap();
    assert_eq!(store.backlog(), told, "what is counted on the way is what is there");
}

#[test]
fn a_job_goes_when_its_time_to_live_is_over_whatever_its_state() {
    let (_folder, store) = world();
    for id in ["ended", "running", "waiting"] {
        let policy = Policy { ttl_ms: Some(50), ..Policy::default() };
        store.submit(id, &Submission { input: "{}".into(), policy, webhook: None }, 100).unwrap();
    }
    store.submit("other", &job("{}"), 100).unwrap();
    claim_one(&store, 110);
    store.finish("ended", 1, &completed("1"), 120).unwrap();
    claim_one(&store, 110);
    assert!(store.expire(149).unwrap().is_empty());
    let there =
        |now_ms| ["ended", "running", "waiting", "other"].map(|id| store.view(id, now_ms).unwrap().is_some());
    assert_eq!(there(149), [true; 4]);
    assert_eq!(there(150), [false, false, false, true], "also before it is removed");
    store.finish("running", 1, &completed("1"), 150).unwrap();
    assert_eq!(store.view("running", 149).unwrap().unwrap().status, JobStatus::InProgress);
    assert_eq!(store.expire(150).unwrap(), ["ended", "running", "waiting"]);
    assert_eq!((there(149), store.backlog().jobs), ([false, false, false, true], 1));
    assert!(store.expire_by_default(99 + TTL_DEFAULT_MS).unwrap().is_empty());
    assert_eq!(store.expire_by_default(100 + TTL_DEFAULT_MS).unwrap(), ["other"]);
}

#[test]
fn a_database_of_the_first_version_is_brought_along() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.sqlite");
    let first = Connection::open(&path).unwrap();
    first.execute_batch(SCHEMA).unwrap();
    first
        .execute_batch("CREATE INDEX job_by_end ON job (finished_ms) WHERE finished_ms IS NOT NULL")
        .unwrap();
    let accept = |id: &str| {
        let insert = "INSERT INTO job (id, status, input, created_ms) VALUES (?1, 'IN_QUEUE', '[12]', 7)";
        first.execute(insert, [id]).unwrap();
    };
    accept("a");
    let store = Store::open(&path).unwrap();
    assert_eq!(store.backlog(), Backlog { jobs: 1, low_priority: 0, bytes: 4 });
    // The endpoint of that version still accepts jobs.
    accept("b");
    let store = Store::open(&path).unwrap();
    assert_eq!(store.backlog().jobs, 2);
    assert_eq!(claim_one(&store, 8).id, "a");
    assert_eq!(claim_one(&store, 8).input, "[12]");
}

#[test]
fn whoever_asked_is_told_of_each_end_until_it_was_taken() {
    let (_folder, store) = world();
    let webhook = || Some(Webhook::parse("http://hook/x").unwrap());
    for id in ["cancelled", "completed", "purged"] {
        let told = Submission { webhook: webhook(), ..job("{}") };
        store.submit(id, &told, 0).unwrap();
    }
    store.submit("silent", &job("{}"), 0).unwrap();
    let due = |now_ms| -> Vec<_> {
        let due = store.claim_deliveries(9, now_ms, 100).unwrap();
        due.iter().map(|due| (due.view.id.clone(), due.view.status.word(), due.attempt)).collect()
    };
    assert!(due(0).is_empty());
    store.cancel("cancelled", 10).unwrap();
    store.cancel("cancelled", 11).unwrap();
    claim_one(&store, 12);
    store.finish("completed", 1, &completed("7"), 13).unwrap();
    store.purge(14).unwrap();
    assert_eq!(store.deliveries().unwrap(), 3);
    let first = [("cancelled", "CANCELLED", 1), ("completed", "COMPLETED", 1), ("purged", "CANCELLED", 1)];
    assert_eq!(due(20), first.map(|(id, status, attempt)| (id.to_owned(), status, attempt)));
    assert!(due(119).is_empty(), "each attempt is one endpoint's");
    store.delivered("cancelled", 1, None).unwrap();
    store.delivered("completed", 1, Some(500)).unwrap();
    // The endpoint that had the third one died.
    assert_eq!(due(120), [("purged".to_owned(), "CANCELLED", 2)]);
    store.delivered("purged", 1, None).unwrap();
    assert_eq!(store.deliveries().unwrap(), 2, "an attempt that was given up says nothing about the next");
    store.delivered("purged", 2, None).unwrap();
    assert_eq!(due(500), [("completed".to_owned(), "COMPLETED", 2)]);
    let kept = Kept { since_ms: 400, jobs_max: 0, bytes_max: 99, step: 9 };
    assert_eq!(store.sweep(kept).unwrap(), 3, "one that somebody is to be told of stays");
    assert!(store.view("completed", 600).unwrap().is_some());
    assert_eq!(store.sweep(Kept { bytes_max: 0, ..kept }).unwrap(), 1, "but not where there is no room");
    assert_eq!(store.deliveries().unwrap(), 0);
}
