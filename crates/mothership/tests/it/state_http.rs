//! The State Manager's HTTP API as any client meets it.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use flash_model::*;
use flash_mothership::StateServer;
use flash_mothership::store::{Error, ManualClock, MemoryStore, RemoteStore, Store};
use flash_testkit::{manifest, name, scope};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use crate::support::{Rig, TOKEN, front};

const SHOP: &str = "/api/v1/flash/manifests/shop%2Fdev";

struct Answer {
    status: u16,
    headers: reqwest::header::HeaderMap,
    body: Value,
}

impl Answer {
    /// Status and code of a problem document.
    fn problem(&self) -> (u16, &str) {
        assert_eq!(self.headers["content-type"], "application/problem+json", "{}", self.body);
        assert_eq!(self.body["status"], self.status, "{}", self.body);
        (self.status, self.body["code"].as_str().unwrap())
    }

    fn etag(&self) -> &str {
        self.headers["etag"].to_str().unwrap()
    }
}

async fn ask(url: &str, method: Method, path: &str, headers: &[(&str, &str)], body: Option<Value>) -> Answer {
    let mut request = Client::new().request(method, format!("{url}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if let Some(body) = body {
        request = request.json(&body);
    }
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let text = response.text().await.unwrap();
    let body =
        if text.is_empty() { Value::Null } else { serde_json::from_str(&text).expect("JSON or nothing") };
    Answer { status, headers, body }
}

struct Alone {
    server: StateServer,
    store: Arc<MemoryStore>,
}

impl Alone {
    fn start() -> Self {
        Self::over(MemoryStore::default())
    }

    fn over(store: MemoryStore) -> Self {
        let store = Arc::new(store);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = StateServer::start(listener, Secret::new(TOKEN), store.clone()).unwrap();
        Self { server, store }
    }

    async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Option<Value>) -> Answer {
        let bearer = format!("Bearer {TOKEN}");
        let mut all = vec![("authorization", bearer.as_str())];
        all.extend(headers);
        ask(self.server.url(), method, path, &all, body).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, &[], None).await
    }

    async fn put(&self, path: &str, headers: &[(&str, &str)], body: Value) -> Answer {
        self.ask(Method::PUT, path, headers, Some(body)).await
    }

    async fn lead(&self, who: &str, term_ms: u64) -> Answer {
        let body = json!({"action": "acquire", "holder": who, "purpose": "a test", "term_ms": term_ms});
        self.ask(Method::POST, &format!("{SHOP}/lease"), &[], Some(body)).await
    }
}

#[tokio::test]
async fn nobody_comes_in_without_the_token_not_even_on_loopback() {
    let (alone, mothership) = (Alone::start(), front());
    let routes = [
        (Method::GET, "/api/v1/flash/manifests".to_owned()),
        (Method::GET, SHOP.to_owned()),
        (Method::PUT, SHOP.to_owned()),
        (Method::DELETE, SHOP.to_owned()),
        (Method::GET, format!("{SHOP}/resources")),
        (Method::PUT, format!("{SHOP}/resources/a")),
        (Method::DELETE, format!("{SHOP}/resources/a")),
        (Method::POST, format!("{SHOP}/lease")),
        (Method::GET, format!("{SHOP}/pulse")),
        (Method::POST, format!("{SHOP}/lineage")),
        (Method::GET, format!("{SHOP}/generations/1")),
        (Method::POST, format!("{SHOP}/events")),
        (Method::GET, "/api/v1/flash/other".to_owned()),
    ];
    for url in [alone.server.url(), mothership.url()] {
        for (method, path) in &routes {
            for headers in [&[][..], &[("authorization", "Bearer 0123456789abcdeF")]] {
                let answer = ask(url, method.clone(), path, headers, None).await;
                assert_eq!(answer.problem(), (401, "FL308"), "{method} {path}");
            }
        }
        assert_eq!(ask(url, Method::GET, "/ping", &[], None).await.status, 200);
    }
    let foreign = [("origin", "https://evil.example"), ("authorization", "Bearer 0123456789abcdef")];
    let refused = ask(alone.server.url(), Method::GET, SHOP, &foreign, None).await;
    assert_eq!(refused.problem(), (403, "FL313"));
}

#[tokio::test]
async fn a_client_of_the_reference_finds_what_it_wrote() {
    let with = Alone::start();
    // Its key is the id of its own endpoint, and it knows no leases.
    let at = |path: &str| format!("/api/v1/flash/manifests/m0ther5hip{path}");
    assert_eq!(with.get(&at("")).await.problem(), (404, "FL407"), "first boot");
    let hash = "3813f9409eb0095bf9c8e1225c627acf867d89bd18b8856fc38588a0c8c490f3";
    let deployed =
        json!({"config_hash": hash, "endpoint_url": "https://ep1.api.runpod.ai", "status": "deployed"});
    assert_eq!(with.put(&at("/resources/01_api"), &[], deployed.clone()).await.status, 201);
    let document = with.get(&at("")).await.body;
    let resource = &document["resources"]["01_api"];
    for field in ["config_hash", "endpoint_url", "status"] {
        assert_eq!(resource[field], deployed[field], "{document:#}");
    }
    for field in ["version", "generated_at", "project_name", "function_registry", "routes"] {
        assert!(document.get(field).is_some(), "{field}: {document:#}");
    }
    assert_eq!(document["lineage"], "m0ther5hip");

    let failed = json!({"status": "failed", "error": "no GPU left"});
    assert_eq!(with.put(&at("/resources/01_api"), &[], failed).await.status, 200);
    let resource = with.get(&at("")).await.body["resources"]["01_api"].clone();
    assert_eq!(
        (resource["status"].as_str(), resource["error"].as_str()),
        (Some("failed"), Some("no GPU left"))
    );
    assert_eq!(resource["config_hash"], hash, "what runs is not forgotten");
    assert_eq!(resource["endpoint_url"], "https://ep1.api.runpod.ai");

    let updated = json!({"config_hash": "00", "status": "updated", "endpoint_url": "https://ep2"});
    assert_eq!(with.put(&at("/resources/01_api"), &[], updated).await.status, 200);
    let resource = with.get(&at("")).await.body["resources"]["01_api"].clone();
    assert_eq!((&resource["status"], &resource["error"]), (&json!("deployed"), &Value::Null));
    for _ in 0..2 {
        let deleted = with.ask(Method::DELETE, &at("/resources/01_api"), &[], None).await;
        assert_eq!(deleted.status, 204);
    }
    assert_eq!(with.get(&at("")).await.body["resources"], json!({}));
}

#[tokio::test]
async fn of_many_who_write_at_once_without_a_lease_everyone_is_heard() {
    const WRITERS: usize = 80;
    let with = Arc::new(Alone::start());
    let mut writers = tokio::task::JoinSet::new();
    for index in 0..WRITERS {
        let with = Arc::clone(&with);
        writers.spawn(async move {
            let path = format!("{SHOP}/resources/r{}", index / 2);
            let body = match index % 2 {
                0 => json!({"config_hash": "ab"}),
                _ => json!({"endpoint_url": "https://ep", "status": "deployed"}),
            };
            with.put(&path, &[], body).await.status
        });
    }
    assert!(writers.join_all().await.into_iter().all(|status| status == 200 || status == 201));
    let resources = with.get(SHOP).await.body["resources"].as_object().unwrap().clone();
    assert_eq!(resources.len(), WRITERS / 2);
    for (name, resource) in resources {
        assert_eq!(
            (&resource["config_hash"], &resource["endpoint_url"]),
            (&json!("ab"), &json!("https://ep")),
            "{name}"
        );
    }
    let lease = with.get(&format!("{SHOP}/lease")).await.body;
    assert_eq!(lease["lease"], Value::Null, "nothing is left behind");
}

#[tokio::test]
async fn a_lost_race_is_told_by_the_tag() {
    let with = Alone::start();
    let path = format!("{SHOP}/resources/a");
    assert_eq!(
        with.put(&path, &[("if-match", "*")], json!({"config_hash": "1"})).await.problem(),
        (412, "FL401")
    );
    let first = with.put(&path, &[("if-none-match", "*")], json!({"config_hash": "1"})).await;
    assert_eq!((first.status, first.etag()), (201, "\"1\""));
    let again = with.put(&path, &[("if-none-match", "*")], json!({"config_hash": "2"})).await;
    assert_eq!(again.problem(), (412, "FL401"));
    let second = with.put(&path, &[("if-match", first.etag())], json!({"config_hash": "2"})).await;
    assert_eq!((second.status, second.etag()), (200, "\"2\""));
    for method in [Method::PUT, Method::DELETE] {
        let body = Some(json!({"config_hash": "3"}));
        let stale = with.ask(method, &path, &[("if-match", first.etag())], body).await;
        assert_eq!(stale.problem(), (412, "FL401"));
    }
    let read = with.get(&path).await;
    assert_eq!((read.etag(), read.body["applied"]["config_hash"].as_str()), ("\"2\"", Some("2")));
    let unchanged = with.ask(Method::GET, &path, &[("if-none-match", read.etag())], None).await;
    assert_eq!((unchanged.status, &unchanged.body), (304, &Value::Null));

    // A whole record names the version that it replaces by itself too.
    let mut record = read.body.clone();
    record["attempts"] = json!(7);
    assert_eq!(with.put(&path, &[], record.clone()).await.etag(), "\"3\"");
    let conflict = with.put(&path, &[], record).await;
    assert_eq!(conflict.problem(), (412, "FL401"));
    assert_eq!(
        conflict.body["refusal"],
        json!({"reason": "conflict", "resource": "a", "expected": 2, "actual": 3})
    );
}

#[tokio::test]
async fn the_whole_document_has_a_tag_of_lineage_and_serial() {
    let with = Alone::start();
    let born =
        with.ask(Method::POST, &format!("{SHOP}/lineage"), &[], Some(json!({"candidate": "ms-1"}))).await;
    assert_eq!(born.body, json!({"lineage": "ms-1"}));
    let late =
        with.ask(Method::POST, &format!("{SHOP}/lineage"), &[], Some(json!({"candidate": "ms-2"}))).await;
    assert_eq!(late.body, json!({"lineage": "ms-1"}), "the first one stays");
    let body = |workers| serde_json::to_value(manifest(&[("a", workers)])).unwrap();
    let first = with.put(SHOP, &[("if-none-match", "*")], body(1)).await;
    assert_eq!((first.status, first.etag(), &first.body), (200, "\"ms-1-1\"", &json!({"generation": 1})));
    assert_eq!(with.put(SHOP, &[("if-none-match", "*")], body(2)).await.problem(), (412, "FL401"));
    let second = with.put(SHOP, &[("if-match", first.etag())], body(2)).await;
    assert_eq!((second.etag(), &second.body), ("\"ms-1-2\"", &json!({"generation": 2})));
    assert_eq!(with.put(SHOP, &[("if-match", first.etag())], body(3)).await.problem(), (412, "FL401"));

    let read = with.get(SHOP).await;
    assert_eq!(read.etag(), "\"ms-1-2\"");
    let head = ["project_name", "scope", "serial", "generation"].map(|field| read.body[field].clone());
    assert_eq!(
        head,
        [json!(manifest(&[]).project_name), json!({"app": "shop", "environment": "dev"}), json!(2), json!(2)]
    );
    let unchanged = with.ask(Method::GET, SHOP, &[("if-none-match", "\"x\", W/\"ms-1-2\"")], None).await;
    assert_eq!((unchanged.status, unchanged.etag()), (304, "\"ms-1-2\""));
    let by_lineage = with.get("/api/v1/flash/manifests/ms-1").await;
    assert_eq!(by_lineage.body, read.body);
    assert_eq!(with.get("/api/v1/flash/manifests/ms-2").await.problem(), (404, "FL407"));
    let scopes = with.get("/api/v1/flash/manifests").await.body;
    assert_eq!(scopes, json!({"scopes": [{"app": "shop", "environment": "dev"}]}));

    let generations = with.get(&format!("{SHOP}/generations")).await.body["generations"].clone();
    let numbers: Vec<_> =
        generations.as_array().unwrap().iter().map(|one| one["number"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [2, 1]);
    for (number, workers) in [("1", 1), ("2", 2), ("applied", 2)] {
        let one = with.get(&format!("{SHOP}/generations/{number}")).await.body;
        assert_eq!(one["manifest"], body(workers), "{number}");
    }
    for number in ["3", "0", "-1", "x"] {
        assert_eq!(with.get(&format!("{SHOP}/generations/{number}")).await.problem(), (404, "FL407"));
    }
}

#[tokio::test]
async fn while_somebody_leads_only_the_holder_writes() {
    let clock = Arc::new(ManualClock::at(1_000_000));
    let with = Alone::over(MemoryStore::with_clock(clock.clone()));
    let lease = with.lead("alice", 10_000).await.body["lease"].clone();
    assert_eq!((&lease["holder"], &lease["fence"]), (&json!("alice"), &json!(1)));
    let held = with.lead("bob", 10_000).await;
    assert_eq!(held.problem(), (409, "FL404"));
    assert_eq!(held.body["refusal"], json!({"reason": "held", "lease": lease, "remaining_ms": 10_000}));
    let path = format!("{SHOP}/resources/a");
    let patch = json!({"config_hash": "1"});

    let locked = with.put(&path, &[], patch.clone()).await;
    assert_eq!(locked.problem(), (423, "FL404"));
    assert_eq!(
        (&locked.headers["retry-after"], &locked.body["refusal"]["lease"]),
        (&"1".parse().unwrap(), &lease)
    );
    assert!(locked.body["detail"].as_str().unwrap().contains("alice"), "{}", locked.body);
    assert_eq!(with.put(&path, &[("flash-fence", "1")], patch.clone()).await.status, 201);
    assert_eq!(with.put(&path, &[("flash-fence", "one")], patch.clone()).await.problem(), (400, "FL311"));

    clock.advance(10_000);
    assert_eq!(with.lead("bob", 10_000).await.body["lease"]["fence"], 2);
    let body = serde_json::to_value(manifest(&[("a", 1)])).unwrap();
    for (method, path, body) in [
        (Method::PUT, path.as_str(), Some(patch)),
        (Method::DELETE, path.as_str(), None),
        (Method::PUT, SHOP, Some(body)),
        (Method::DELETE, SHOP, None),
    ] {
        let stale = with.ask(method.clone(), path, &[("flash-fence", "1")], body).await;
        assert_eq!(stale.problem(), (409, "FL405"), "{method} {path}");
        let refusal = &stale.body["refusal"];
        assert_eq!((&refusal["reason"], &refusal["held_by"]["holder"]), (&json!("fenced"), &json!("bob")));
    }
    let renewal = json!({"action": "renew", "holder": "alice", "fence": 1});
    let lost = with.ask(Method::POST, &format!("{SHOP}/lease"), &[], Some(renewal)).await;
    assert_eq!(lost.problem(), (409, "FL404"), "somebody else has it");
    let drop = Some(json!({"action": "drop_expired"}));
    assert_eq!(with.ask(Method::POST, &format!("{SHOP}/lease"), &[], drop.clone()).await.status, 409);
    clock.advance(10_000);
    let dropped = with.ask(Method::POST, &format!("{SHOP}/lease"), &[], drop).await;
    assert_eq!((dropped.status, &dropped.body), (200, &json!({"lease": null})));
    let renewal = json!({"action": "renew", "holder": "bob", "fence": 2});
    let lost = with.ask(Method::POST, &format!("{SHOP}/lease"), &[], Some(renewal)).await;
    assert_eq!(
        (lost.problem(), &lost.body["refusal"]),
        ((409, "FL405"), &json!({"reason": "lost", "fence": 2}))
    );
    // Nobody leads, so a moment's lease is there to be had.
    assert_eq!(with.put(&path, &[], json!({"status": "failed"})).await.status, 200);
}

#[tokio::test]
async fn a_state_is_forgotten_when_nothing_is_left_in_it() {
    let with = Alone::start();
    let path = format!("{SHOP}/resources/a");
    with.put(&path, &[], json!({"config_hash": "1"})).await;
    let refused = with.ask(Method::DELETE, SHOP, &[], None).await;
    assert_eq!(refused.problem(), (409, "FL406"));
    assert_eq!(refused.body["refusal"], json!({"reason": "not_empty", "records": 1}));
    with.ask(Method::DELETE, &path, &[], None).await;
    let tag = with.get(SHOP).await.etag().to_owned();
    let stale = with.ask(Method::DELETE, SHOP, &[("if-match", "\"none-1\"")], None).await;
    assert_eq!(stale.problem(), (412, "FL401"));
    assert_eq!(with.ask(Method::DELETE, SHOP, &[("if-match", &tag)], None).await.status, 204);
    assert_eq!(with.ask(Method::DELETE, SHOP, &[], None).await.problem(), (404, "FL407"));
    assert_eq!(with.get("/api/v1/flash/manifests").await.body, json!({"scopes": []}));
}

#[tokio::test]
async fn events_are_read_in_pages() {
    let with = Alone::start();
    let happening = |why: &str| json!({"who": "me", "what": "step_done", "resource": "a", "why": why});
    let path = format!("{SHOP}/events");
    let body = json!({"happenings": [happening("one"), happening("two"), happening(&"x".repeat(5_000))]});
    assert_eq!(with.ask(Method::POST, &path, &[], Some(body)).await.status, 204);
    let page = with.get(&format!("{path}?after=1&limit=1")).await.body;
    assert_eq!(page["events"].as_array().unwrap().len(), 1);
    assert_eq!((&page["events"][0]["sequence"], &page["events"][0]["why"]), (&json!(2), &json!("two")));
    let all = with.get(&path).await.body;
    assert_eq!(all["events"].as_array().unwrap().len(), 3);
    assert!(all["events"][2]["why"].as_str().unwrap().len() < 2_100, "an endpoint's last words may be long");
    assert_eq!(with.get(&format!("{path}?after=x")).await.problem(), (400, "FL311"));
}

#[tokio::test]
async fn requests_that_make_no_sense_are_answered_with_problem_documents() {
    let with = Alone::start();
    let resource = format!("{SHOP}/resources/a");
    let long = format!("{SHOP}/resources/{}", "x".repeat(200));
    let many = json!({"happenings": vec![json!({"who": "me", "what": "step_done", "why": ""}); 10_001]});
    let record = serde_json::to_value(ResourceRecord::new(name("b"), "sim")).unwrap();
    for (method, path, body, expected) in [
        (Method::GET, "/api/v1/flash/manifests/shop/dev", None, (404, "FL301")),
        (Method::GET, "/api/v1/flash/elsewhere", None, (404, "FL301")),
        (Method::GET, "/elsewhere", None, (404, "FL301")),
        (Method::GET, "/api/v1/flash/manifests/a%2Fb%2Fc", None, (404, "FL407")),
        (Method::GET, "/api/v1/flash/manifests/No%20Such", None, (404, "FL407")),
        (Method::GET, "/api/v1/flash/manifests/%FF", None, (404, "FL301")),
        (Method::GET, &resource, None, (404, "FL407")),
        (Method::GET, &long, None, (404, "FL407")),
        (Method::PATCH, &resource, None, (405, "FL302")),
        (Method::POST, SHOP, None, (405, "FL302")),
        (Method::PUT, &resource, Some(json!([1])), (422, "FL311")),
        (Method::PUT, &resource, Some(json!({"status": "sideways"})), (422, "FL311")),
        (Method::PUT, &resource, Some(json!({"provider": "sim", "version": 1})), (422, "FL311")),
        (Method::PUT, &resource, Some(record), (422, "FL311")),
        (Method::PUT, SHOP, Some(json!({"version": "9"})), (422, "FL311")),
        (Method::POST, &format!("{SHOP}/lease"), Some(json!({"action": "steal"})), (422, "FL311")),
        (Method::POST, &format!("{SHOP}/events"), Some(many), (413, "FL317")),
    ] {
        let answer = with.ask(method.clone(), path, &[], body).await;
        assert_eq!(answer.problem(), expected, "{method} {path}: {}", answer.body);
    }
    let both = [("if-match", "\"1\""), ("if-none-match", "*")];
    assert_eq!(with.put(&resource, &both, json!({})).await.problem(), (400, "FL311"));
    assert_eq!(with.store.scopes().await.unwrap(), [], "nothing was written");
}

#[tokio::test]
async fn a_body_without_end_is_not_read() {
    let with = Alone::start();
    let body = vec![b' '; 65 * 1024 * 1024];
    let request = Client::new().put(format!("{}{SHOP}", with.server.url())).bearer_auth(TOKEN).body(body);
    // Told while it still sends, a client may find the connection closed first.
    if let Ok(response) = request.send().await {
        assert_eq!(response.status().as_u16(), 413);
        assert_eq!(response.json::<Value>().await.unwrap()["code"], "FL317");
    }
    assert_eq!(with.get("/api/v1/flash/manifests").await.status, 200, "it still answers");
}

#[tokio::test]
async fn a_mothership_serves_its_own_state() {
    let (rig, store, _provider) = Rig::simulated().await;
    rig.want(&[("a", 1)]);
    rig.until_ready().await;
    let remote = RemoteStore::new(rig.handle.url(), Secret::new(TOKEN));
    let bearer = format!("Bearer {TOKEN}");
    let authorized = [("authorization", bearer.as_str())];
    let document = ask(rig.handle.url(), Method::GET, SHOP, &authorized, None).await;
    assert_eq!(document.body["resources"]["a"]["status"], "deployed");
    assert_eq!(document.body["lineage"], rig.handle.mothership_id().as_str());
    let (ours, theirs) = (store.snapshot(&scope()).await.unwrap(), remote.snapshot(&scope()).await.unwrap());
    assert_eq!(ours.records, theirs.records);
    let patch = Some(json!({"status": "failed"}));
    let path = format!("{SHOP}/resources/a");
    let refused = ask(rig.handle.url(), Method::PUT, &path, &authorized, patch).await;
    assert_eq!(refused.problem(), (423, "FL404"), "it leads");
    let refused = ask(rig.handle.url(), Method::GET, "/api/v1/flash/other", &authorized, None).await;
    assert_eq!(refused.problem(), (404, "FL301"), "not the user's application's");
    rig.mothership.stop_with_endpoints().await.unwrap();
}

#[tokio::test]
async fn a_mothership_that_has_no_state_yet_says_so() {
    let front = front();
    let bearer = format!("Bearer {TOKEN}");
    let early = ask(front.url(), Method::GET, SHOP, &[("authorization", &bearer)], None).await;
    assert_eq!(early.problem(), (503, "FL208"));
    assert!(early.headers.contains_key("retry-after"));
}

/// Between a client and a State Manager: carries requests there, and loses the answers of as many connections as asked.
async fn lossy(upstream: &str) -> (String, Arc<AtomicI32>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (upstream, losses) = (upstream.trim_start_matches("http://").to_owned(), Arc::new(AtomicI32::new(0)));
    let to_lose = Arc::clone(&losses);
    tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let mut server = tokio::net::TcpStream::connect(&upstream).await.unwrap();
            let lose = to_lose.fetch_sub(1, Ordering::SeqCst) > 0;
            tokio::spawn(async move {
                if !lose {
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                    return;
                }
                let (mut from_server, mut to_server) = server.split();
                let (mut from_client, _) = client.split();
                let mut first = [0; 1];
                // The first byte of the answer says that the request was carried out.
                tokio::select! {
                    _ = tokio::io::copy(&mut from_client, &mut to_server) => {}
                    _ = from_server.read(&mut first) => {}
                }
            });
        }
    });
    (url, losses)
}

#[tokio::test]
async fn a_lost_answer_does_no_harm() {
    let with = Alone::start();
    let (url, losses) = lossy(with.server.url()).await;
    // A client of its own each time, so that none goes by a connection that is open already.
    let remote = |lost| {
        losses.store(lost, Ordering::SeqCst);
        RemoteStore::new(url.as_str(), Secret::new(TOKEN))
    };
    let acquire = LeaseRequest::Acquire {
        holder: HolderId::new("me").unwrap(),
        purpose: "a test".into(),
        seat: None,
        term_ms: 60_000,
    };
    let lease = remote(2).lease(&scope(), acquire).await.unwrap().unwrap();
    assert_eq!(lease.fence, 1, "asked three times, it is one lease");
    let fence = lease.fence;
    let record = ResourceRecord::new(name("a"), "sim");
    let second_try = remote(1).put(&scope(), fence, record, 0).await;
    assert!(matches!(second_try, Err(Error::Conflict { expected: 0, actual: 1, .. })), "{second_try:?}");
    assert_eq!(with.store.snapshot(&scope()).await.unwrap().serial, 1, "written once");
    let applied =
        remote(1).put_manifest(&scope(), fence, &Arc::new(manifest(&[("a", 1)])), None).await.unwrap();
    assert_eq!(applied.generation, 1);
    remote(1).remove(&scope(), fence, &name("a"), 1).await.unwrap();
    let happening = Happening::new(HolderId::new("me").unwrap(), EventKind::StepDone, None, "once");
    let unheard = remote(1).append(&scope(), vec![happening]).await;
    assert!(
        matches!(&unheard, Err(error @ Error::Remote(_)) if error.retry() == Retry::Backoff),
        "{unheard:?}"
    );
    assert_eq!(remote(0).events(&scope(), 0, 10).await.unwrap().len(), 1);
    assert_eq!(remote(1).generations(&scope()).await.unwrap().len(), 1, "reads are just made again");
}

#[tokio::test]
async fn a_wrong_token_is_not_tried_again_and_never_shown() {
    let with = Alone::start();
    let wrong = RemoteStore::new(with.server.url(), Secret::new("wr0ng"));
    let refused = wrong.pulse(&scope()).await.unwrap_err();
    assert_eq!(refused.retry(), Retry::Never, "{refused:?}");
    assert!(!format!("{refused:?}").contains("wr0ng"));
}

/// Bounded on the client's side: each with a connection of its own would be as many time-outs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_writes_at_once_are_all_answered_and_none_is_made_twice() {
    const WRITES: u64 = 1_000;
    let with = Alone::start();
    let remote = Arc::new(RemoteStore::new(with.server.url(), Secret::new(TOKEN)));
    let acquire = LeaseRequest::Acquire {
        holder: HolderId::new("me").unwrap(),
        purpose: "a test".into(),
        seat: None,
        term_ms: 600_000,
    };
    let fence = remote.lease(&scope(), acquire).await.unwrap().unwrap().fence;
    let mut writes = tokio::task::JoinSet::new();
    for index in 0..WRITES {
        let remote = Arc::clone(&remote);
        writes.spawn(async move {
            let record = ResourceRecord::new(name(&format!("r{index}")), "sim");
            remote.put(&scope(), fence, record, 0).await
        });
    }
    let versions = writes.join_all().await.into_iter().map(|written| written.unwrap().version);
    assert_eq!(versions.collect::<std::collections::BTreeSet<_>>(), (1..=WRITES).collect(), "each its own");
    assert_eq!(with.store.snapshot(&scope()).await.unwrap().serial, WRITES);
}
