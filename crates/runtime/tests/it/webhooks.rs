use flash_model::{Secret, hmac_sha256_hex};
use flash_testkit::receiver::{Delivery, Receiver};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::queue;
use crate::world::{TOKEN, eventually};

/// What a receiver was told, when it is that much.
pub(crate) async fn told(receiver: &Receiver, count: usize) -> Vec<Delivery> {
    eventually("a webhook", || async {
        let seen = receiver.seen();
        if seen.len() >= count { Ok(seen) } else { Err(format!("{seen:?}")) }
    })
    .await
}

pub(crate) fn done(receiver: &Receiver) -> String {
    format!("{}/done?key=1", receiver.url)
}

/// As a receiver would check it.
fn is_signed(delivery: &Delivery) -> bool {
    let (time, signature) = delivery.header("flash-signature").split_once(",v1=").unwrap();
    let time = time.strip_prefix("t=").unwrap();
    let message = [time.as_bytes(), b".", delivery.body.as_bytes()];
    hmac_sha256_hex(&Secret::new(TOKEN), &message) == signature
}

pub(crate) fn job(function: &str, kwargs: Value, webhook: &str) -> Value {
    json!({"input": {"function_name": function, "kwargs": kwargs}, "webhook": webhook})
}

#[tokio::test]
async fn whoever_asked_for_it_is_told_of_the_end_and_again_until_it_is_taken() {
    let receiver = Receiver::start(&[500, 302]).await;
    let project = queue::project();
    let endpoint = project.start().await;
    let id = endpoint.post("/run", job("double", json!({"x": 2}), &done(&receiver))).await.body["id"].clone();
    let deliveries = told(&receiver, 3).await;
    let view = endpoint.get(&format!("/status/{}", id.as_str().unwrap())).await.body;
    assert_eq!((&view["status"], &view["output"]), (&json!("COMPLETED"), &json!(4)));
    for (index, delivery) in deliveries.iter().enumerate() {
        assert_eq!(serde_json::from_str::<Value>(&delivery.body).unwrap(), view);
        assert_eq!(delivery.line, "POST /done?key=1 HTTP/1.1");
        assert_eq!(delivery.header("content-type"), "application/json");
        assert_eq!(delivery.header("flash-job-id"), id.as_str().unwrap());
        assert_eq!(delivery.header("flash-delivery-attempt"), (index + 1).to_string());
        assert!(is_signed(delivery), "{delivery:?}");
    }
    let failed = endpoint.post("/run", job("broken", json!({"text": "x"}), &done(&receiver))).await.body;
    let told: Value = serde_json::from_str(&told(&receiver, 4).await[3].body).unwrap();
    assert_eq!((&told["id"], &told["status"]), (&failed["id"], &json!("FAILED")));
}

#[tokio::test]
async fn a_webhook_survives_a_hard_end_and_is_not_repeated_once_taken() {
    // Nobody listens there until the endpoint has died.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let url = format!("http://{address}/done?key=1");
    let project = queue::project();
    let endpoint = project.start().await;
    let id = endpoint.post("/run", job("double", json!({"x": 3}), &url)).await.body["id"].clone();
    // The first attempt is made and left without an answer.
    let (unanswered, _) = listener.accept().await.unwrap();
    drop(endpoint);
    drop(unanswered);
    drop(listener);
    let endpoint = project.start().await;
    let listener = TcpListener::bind(address).await.unwrap();
    let delivery = eventually("the webhook to come again", || async {
        let (stream, _) = listener.accept().await.unwrap();
        Delivery::receive(stream, 200).await.ok_or("cut off".to_owned())
    })
    .await;
    let told: Value = serde_json::from_str(&delivery.body).unwrap();
    assert_eq!((&told["id"], &told["output"]), (&id, &json!(6)));
    assert!(is_signed(&delivery));
    // Its order shows that nothing of the first is left: the next message is the next job's.
    let next = endpoint.post("/run", job("double", json!({"x": 4}), &url)).await.body["id"].clone();
    let (stream, _) = listener.accept().await.unwrap();
    let told: Value = serde_json::from_str(&Delivery::receive(stream, 200).await.unwrap().body).unwrap();
    assert_eq!(told["id"], next);
}
