use flash_model::wire::{DeadLetter, DeadLetters, JobAccepted};

use super::*;

pub(super) fn world() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("jobs.sqlite")).unwrap();
    (folder, store)
}

pub(super) fn job(input: &str) -> Submission {
    Submission { input: input.into(), policy: Policy::default(), webhook: None, key: None, trace: None }
}

pub(super) fn completed(output: &str) -> Outcome {
    Outcome { end: End::Completed, output: Some(output.to_owned()), error: None, is_retriable: false }
}

fn failed(error: &str) -> Outcome {
    Outcome { end: End::Failed, output: None, error: Some(error.to_owned()), is_retriable: true }
}

/// A job that is tried again once.
fn job_with_a_retry(input: &str) -> Submission {
    Submission { policy: Policy { max_retries: 1, ..Policy::default() }, ..job(input) }
}

/// Gives how many are gone.
pub(super) fn sweep(store: &Store, kept: Kept) -> usize {
    store.sweep(kept, store.excess(kept).unwrap()).unwrap().0
}

pub(super) fn claim_one(store: &Store, now_ms: u64) -> Claimed {
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
    assert_eq!(store.retry("a", 500).unwrap(), Retried::Refused(JobStatus::Cancelled));
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
    assert_eq!(store.retry("a", 500).unwrap(), Retried::Queued);
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
    let swept = |since_ms, jobs_max, bytes_max, step| {
        sweep(&store, Kept { dead: false, since_ms, jobs_max, bytes_max, step })
    };
    let left = || ["a", "b", "c", "d", "waiting"].map(|id| store.view(id, 99).unwrap().is_some());
    assert_eq!(swept(15, 2, 99, 9), 2);
    assert_eq!(left(), [false, false, true, true, true]);
    assert_eq!(swept(15, 2, 99, 9), 0);
    assert_eq!(swept(15, 2, 1, 9), 1, "each has one byte");
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
    let kept = Kept { dead: false, since_ms: 0, jobs_max: 0, bytes_max: 99, step: 1 };
    for left in [2, 1, 0] {
        assert_eq!(sweep(&store, kept), 1);
        let ids = ["a", "b", "c"].map(|id| store.view(id, 9).unwrap().is_some());
        assert_eq!(ids, [false, left > 1, left > 0]);
    }
    assert_eq!(sweep(&store, kept), 0);
}

#[test]
fn what_is_removed_step_by_step_is_what_is_removed_at_once() {
    for step in [1, 2, 9] {
        let (_folder, store) = world();
        for (id, finished_ms) in [("awaited", 1), ("a", 2), ("b", 3), ("c", 4), ("d", 5)] {
            let webhook = (id == "awaited").then(|| Webhook::parse("http://127.0.0.1/").unwrap());
            store.submit(id, &Submission { webhook, ..job("{}") }, 0).unwrap();
            claim_one(&store, 1);
            store.finish(id, 1, &completed("1"), finished_ms).unwrap();
        }
        let kept = Kept { dead: false, since_ms: 0, jobs_max: 2, bytes_max: 99, step };
        let mut excess = store.excess(kept).unwrap();
        while let (1.., left) = store.sweep(kept, excess).unwrap() {
            excess = left;
        }
        let left = ["awaited", "a", "b", "c", "d"].map(|id| store.view(id, 9).unwrap().is_some());
        assert_eq!(left, [true, false, false, true, true], "{step} at a time");
    }
}

#[test]
fn a_policy_goes_with_its_job_and_the_backlog_adds_up() {
    let (_folder, store) = world();
    let policy = Policy {
        execution_timeout: Some(Duration::from_secs(9)),
        ttl_ms: Some(50),
        is_low_priority: true,
        ..Policy::default()
    };
    store.submit("a", &Submission { policy, ..job("[1]") }, 100).unwrap();
    store.submit("b", &job("{}"), 100).unwrap();
    assert_eq!(store.backlog(), Backlog { jobs: 2, low_priority: 1, later: 0, bytes: 5 });
    let claimed = claim_one(&store, 110);
    assert_eq!((claimed.execution_timeout, claimed.expires_ms), (Some(Duration::from_secs(9)), 150));
    assert_eq!(store.backlog(), Backlog { jobs: 1, low_priority: 0, later: 0, bytes: 2 });
    store.release("a", 1).unwrap();
    assert_eq!(store.backlog(), Backlog { jobs: 2, low_priority: 1, later: 0, bytes: 5 });
    claim_one(&store, 120);
    store.finish("a", 2, &failed("no"), 130).unwrap();
    store.finish("a", 1, &failed("no"), 130).unwrap();
    assert_eq!(store.retry("a", 500).unwrap(), Retried::Queued);
    assert_eq!(store.backlog(), Backlog { jobs: 2, low_priority: 1, later: 0, bytes: 5 });
    store.cancel("a", 140).unwrap();
    assert_eq!(store.backlog(), Backlog { jobs: 1, low_priority: 0, later: 0, bytes: 2 });
    let told = store.backlog();
    store.recount().unwrap();
    assert_eq!(store.backlog(), told, "what is counted on the way is what is there");
}

#[test]
fn a_job_goes_when_its_time_to_live_is_over_whatever_its_state() {
    let (_folder, store) = world();
    for id in ["ended", "running", "waiting"] {
        let policy = Policy { ttl_ms: Some(50), ..Policy::default() };
        store.submit(id, &Submission { policy, ..job("{}") }, 100).unwrap();
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
    assert_eq!(store.backlog(), Backlog { jobs: 1, low_priority: 0, later: 0, bytes: 4 });
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
    let kept = Kept { dead: false, since_ms: 400, jobs_max: 0, bytes_max: 99, step: 9 };
    assert_eq!(sweep(&store, kept), 3, "one that somebody is to be told of stays");
    assert!(store.view("completed", 600).unwrap().is_some());
    assert_eq!(sweep(&store, Kept { bytes_max: 0, ..kept }), 1, "but not where there is no room");
    assert_eq!(store.deliveries().unwrap(), 0);
}

#[test]
fn the_same_key_is_the_same_job_for_as_long_as_that_is_known() {
    let (_folder, store) = world();
    let key = |body: &str| Key::of(&http::HeaderValue::from_static("k"), body.as_bytes()).unwrap();
    let keyed = |body: &str| Submission { key: Some(key(body)), ..job(body) };
    let known = |body: &str, now_ms| store.known(&key(body), now_ms).unwrap();
    let same = |id: &str, status| Some(Known::Same(JobAccepted { id: id.to_owned(), status }));
    assert_eq!(known("{}", 0), None);
    store.submit("a", &keyed("{}"), 0).unwrap();
    assert_eq!(known("{}", 1), same("a", JobStatus::InQueue));
    assert_eq!(known("{ }", 1), Some(Known::OtherBody));
    claim_one(&store, 2);
    store.finish("a", 1, &completed("1"), 3).unwrap();
    assert_eq!(known("{}", 4), same("a", JobStatus::Completed));
    let kept = Kept { dead: false, since_ms: 5, jobs_max: 9, bytes_max: 99, step: 9 };
    assert_eq!(sweep(&store, kept), 1);
    assert_eq!(known("{ }", 6), None, "it goes with its job");

    let mortal = Policy { ttl_ms: Some(10), ..Policy::default() };
    store.submit("b", &Submission { policy: mortal, ..keyed("{}") }, 10).unwrap();
    assert_eq!(known("{}", 19), same("b", JobStatus::InQueue));
    assert_eq!(known("{}", 20), None, "also before the job is removed");
    store.submit("c", &keyed("[]"), 20).unwrap();
    assert_eq!(store.expire(20).unwrap(), ["b"]);
    assert_eq!(known("[]", 21), same("c", JobStatus::InQueue), "the key is the later job's");
}

#[test]
fn a_job_that_failed_waits_apart_until_its_next_attempt_is_due() {
    let (_folder, store) = world();
    store.submit("a", &job_with_a_retry("[1]"), 0).unwrap();
    store.submit("b", &job("{}"), 0).unwrap();
    let first = claim_one(&store, 10);
    assert_eq!((first.attempt, first.failures, first.max_retries), (1, 0, 1));
    store.try_again("a", 1, Some("no"), 100).unwrap();
    store.try_again("a", 1, Some("no"), 900).unwrap();
    let waiting = Backlog { jobs: 1, low_priority: 0, later: 1, bytes: 5 };
    assert_eq!(store.backlog(), waiting);
    store.recount().unwrap();
    assert_eq!(store.backlog(), waiting, "what is counted on the way is what is there");
    let view = store.view("a", 20).unwrap().unwrap();
    assert_eq!((view.status, view.retries, view.error.as_deref()), (JobStatus::InQueue, 1, Some("no")));
    assert_eq!(claim_one(&store, 20).id, "b", "it is in nobody's way");
    assert!(store.claim(&["w".to_owned()], 20).unwrap().is_empty());

    assert_eq!((store.next_due().unwrap(), store.ripen(99).unwrap()), (Some(100), 0));
    assert_eq!((store.ripen(100).unwrap(), store.next_due().unwrap()), (1, None));
    assert_eq!(store.backlog(), Backlog { jobs: 1, low_priority: 0, later: 0, bytes: 3 });
    let second = claim_one(&store, 110);
    assert_eq!((second.id.as_str(), second.attempt, second.failures), ("a", 2, 1));
    store.finish("a", 1, &completed("late"), 120).unwrap();
    store.finish("a", 2, &completed("1"), 120).unwrap();
    let view = store.view("a", 130).unwrap().unwrap();
    assert_eq!((view.status, view.retries, view.error), (JobStatus::Completed, 1, None));
    assert_eq!(store.dead(9, 130).unwrap().total, 0);
}

#[test]
fn a_job_that_is_cancelled_is_not_tried_again() {
    let (_folder, store) = world();
    for id in ["running", "waiting", "purged"] {
        store.submit(id, &job_with_a_retry("{}"), 0).unwrap();
        claim_one(&store, 1);
    }
    store.try_again("waiting", 1, None, 100).unwrap();
    store.try_again("purged", 1, None, 100).unwrap();
    let expected = Some(Cancelled { status: JobStatus::Cancelled, was_running: true });
    assert_eq!(store.cancel("running", 10).unwrap(), expected);
    store.try_again("running", 1, None, 100).unwrap();
    assert!(!store.cancel("waiting", 10).unwrap().unwrap().was_running);
    assert_eq!(store.backlog(), Backlog { jobs: 0, low_priority: 0, later: 1, bytes: 2 });
    assert_eq!(store.purge(20).unwrap(), ["purged"]);
    assert_eq!(store.backlog(), Backlog::default());
    assert_eq!((store.ripen(999).unwrap(), store.next_due().unwrap()), (0, None));
    for id in ["running", "waiting", "purged"] {
        assert_eq!(store.view(id, 30).unwrap().unwrap().status, JobStatus::Cancelled, "{id}");
    }
    assert_eq!(store.dead(9, 30).unwrap().total, 0);
}

#[test]
fn attempts_that_failed_do_not_count_as_ends_of_the_endpoint() {
    let (_folder, store) = world();
    let policy = Policy { max_retries: 10, ..Policy::default() };
    store.submit("a", &Submission { policy, ..job("{}") }, 0).unwrap();
    for attempt in 1..=ATTEMPTS_MAX {
        assert_eq!(claim_one(&store, 1).attempt, attempt);
        store.try_again("a", attempt, None, 2).unwrap();
        store.ripen(2).unwrap();
    }
    for cut_off in 1..=ATTEMPTS_MAX {
        assert_eq!(claim_one(&store, 3).attempt, ATTEMPTS_MAX + cut_off);
        store.recover(Gone::AllBut(&[]), 4).unwrap();
    }
    let view = store.view("a", 5).unwrap().unwrap();
    assert_eq!(view.status, JobStatus::Failed);
    assert!(view.error.unwrap().contains("ended 3 times"));
}

#[test]
fn what_is_dead_is_kept_apart_until_it_is_driven_again() {
    let (_folder, store) = world();
    let die = |id: &str, submission: &Submission, now_ms| {
        store.submit(id, submission, now_ms).unwrap();
        claim_one(&store, now_ms);
        store.finish(id, 1, &failed("no"), now_ms).unwrap();
    };
    die("ordinary", &job("{}"), 10);
    die("a", &job_with_a_retry("[1]"), 20);
    die("b", &job_with_a_retry("{}"), 30);
    store.submit("lethal", &job("{}"), 40).unwrap();
    for _ in 1..=ATTEMPTS_MAX {
        claim_one(&store, 40);
        store.recover(Gone::AllBut(&[]), 40).unwrap();
    }
    let dead = store.dead(2, 50).unwrap();
    assert_eq!(dead.total, 3);
    assert_eq!(dead.dead.iter().map(|letter| letter.id.as_str()).collect::<Vec<_>>(), ["lethal", "b"]);
    let DeadLetter { status, died_at_ms, attempts, input_bytes, error, .. } = &dead.dead[1];
    assert_eq!((*status, *died_at_ms, *attempts, *input_bytes), (JobStatus::Failed, 30, 1, 2));
    assert_eq!(error.as_deref(), Some("no"));

    let results = Kept { dead: false, since_ms: 999, jobs_max: 0, bytes_max: 0, step: 9 };
    assert!(!store.excess(results).unwrap().is_none());
    assert_eq!(sweep(&store, results), 1);
    assert!(store.view("ordinary", 60).unwrap().is_none() && store.excess(results).unwrap().is_none());
    let letters = Kept { dead: true, since_ms: 0, jobs_max: 3, bytes_max: 99, step: 9 };
    assert!(store.excess(letters).unwrap().is_none() && sweep(&store, letters) == 0);
    for bound in
        [Kept { since_ms: 21, ..letters }, Kept { jobs_max: 2, ..letters }, Kept { bytes_max: 6, ..letters }]
    {
        assert!(!store.excess(bound).unwrap().is_none(), "{bound:?}");
    }

    store.submit("new", &job("{}"), 60).unwrap();
    let long_after = 100 + 2 * TTL_DEFAULT_MS;
    assert_eq!(store.redrive("a", long_after).unwrap(), Redrive::Queued);
    assert_eq!(store.redrive("a", long_after).unwrap(), Redrive::NotDead(JobStatus::InQueue));
    assert_eq!(store.redrive("ordinary", long_after).unwrap(), Redrive::Unknown);
    assert_eq!(store.retry("b", long_after).unwrap(), Retried::Queued);
    assert_eq!(store.expire_by_default(long_after).unwrap(), ["new"], "their time to live begins anew");
    assert_eq!(
        (store.dead(9, long_after).unwrap().total, store.view("a", 0).unwrap().unwrap().retries),
        (1, 1)
    );
    let order: Vec<_> =
        (0..2).map(|_| claim_one(&store, long_after)).map(|job| (job.id, job.attempt)).collect();
    assert_eq!(order, [("b".to_owned(), 1), ("a".to_owned(), 1)], "what is driven again waits behind");
    store.finish("a", 1, &failed("again"), long_after).unwrap();
    let ids = |dead: DeadLetters| dead.dead.into_iter().map(|letter| letter.id).collect::<Vec<_>>();
    assert_eq!(ids(store.dead(9, long_after).unwrap()), ["a", "lethal"]);
    assert_eq!(store.redrive_some(long_after, 9, long_after).unwrap(), 1, "only what died before");
    assert_eq!(store.redrive_some(long_after + 1, 9, long_after).unwrap(), 1);
    assert_eq!(store.dead(9, long_after).unwrap().total, 0);
}

#[test]
fn the_end_of_a_long_error_is_listed() {
    let (_folder, store) = world();
    store.submit("a", &job_with_a_retry("{}"), 0).unwrap();
    claim_one(&store, 1);
    let long = format!("{}é", "x".repeat(9000));
    store.finish("a", 1, &failed(&long), 2).unwrap();
    let shown = store.dead(1, 3).unwrap().dead.remove(0).error.unwrap();
    assert_eq!((shown.chars().count(), shown.chars().last()), (2000, Some('é')));
    assert_eq!(store.view("a", 3).unwrap().unwrap().error, Some(long));
}

#[test]
fn a_database_of_the_second_version_is_brought_along() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("jobs.sqlite");
    let second = Connection::open(&path).unwrap();
    second.execute_batch(SCHEMA).unwrap();
    for (name, declaration) in &COLUMNS[..5] {
        second.execute(&format!("ALTER TABLE job ADD COLUMN {name} {declaration}"), []).unwrap();
    }
    let indexes = "CREATE INDEX job_by_status ON job (status, seq);
        CREATE INDEX job_in_queue ON job (seq, low_priority, bytes) WHERE status = 'IN_QUEUE';
        CREATE INDEX job_result ON job (finished_ms, bytes) WHERE finished_ms IS NOT NULL;
        PRAGMA user_version = 2;";
    second.execute_batch(indexes).unwrap();
    let store = Store::open(&path).unwrap();
    store.submit("a", &job_with_a_retry("{}"), 7).unwrap();
    claim_one(&store, 8);
    store.try_again("a", 1, Some("no"), 100).unwrap();
    // The endpoint of that version still runs jobs, also one that is not due yet.
    let take =
        "UPDATE job SET status = 'IN_PROGRESS', attempts = attempts + 1, worker = 'old-1' WHERE id = 'a'";
    second.execute(take, []).unwrap();
    let end =
        "UPDATE job SET status = 'FAILED', error = 'no', finished_ms = 20 WHERE id = 'a' AND attempts = 2";
    assert_eq!(second.execute(end, []).unwrap(), 1);
    store.begin().unwrap();
    assert_eq!((store.backlog(), store.next_due().unwrap()), (Backlog::default(), None));
    store.commit().unwrap();
    assert_eq!(store.view("a", 30).unwrap().unwrap().status, JobStatus::Failed);
}

#[test]
fn looking_writes_nothing() {
    let (folder, store) = world();
    let other = Store::open(&folder.path().join("jobs.sqlite")).unwrap();
    other.begin().unwrap();
    other.submit("a", &job("{}"), 0).unwrap();
    // While another has the one place for writers.
    store.notice_others().unwrap();
    assert_eq!((store.next_due().unwrap(), store.has_due_deliveries(9).unwrap()), (None, false));
    assert!(!store.has_expired_by_default(9).unwrap());
    other.commit().unwrap();
    store.notice_others().unwrap();
    assert_eq!(store.backlog().jobs, 1);
}
