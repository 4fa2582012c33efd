//! Headers, secrecy, and the life of a token.
#![expect(clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::advance;

use super::*;

async fn authorised(credentials: &Credentials) -> HeaderMap {
    let mut metadata = HeaderMap::new();
    credentials.authorise(&mut metadata).await.expect("authorised");
    metadata
}

fn text(metadata: &HeaderMap) -> &str {
    metadata[AUTHORIZATION].to_str().expect("text")
}

/// Gives `token-1`, `token-2`, ... and counts.
fn numbered(lifetime: Option<Duration>) -> (Credentials, Arc<AtomicU32>) {
    let count = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&count);
    let credentials = Credentials::bearer(move || {
        let number = counted.fetch_add(1, Ordering::SeqCst) + 1;
        async move {
            let token = Token::new(format!("token-{number}"));
            Ok::<_, io::Error>(match lifetime {
                Some(lifetime) => token.expires_in(lifetime),
                None => token,
            })
        }
    });
    (credentials, count)
}

#[tokio::test]
async fn a_key_goes_into_its_header_marked_sensitive() {
    let metadata = authorised(&Credentials::api_key(" secret-key\n")).await;
    assert_eq!(metadata[&API_KEY], "secret-key");
    assert!(metadata[&API_KEY].is_sensitive());
    assert!(!format!("{metadata:?}").contains("secret"));
}

#[tokio::test]
async fn what_the_caller_set_stays() {
    for name in [API_KEY, AUTHORIZATION] {
        let mut metadata = HeaderMap::new();
        metadata.insert(name, HeaderValue::from_static("the caller's"));
        let before = metadata.clone();
        for credentials in [Credentials::api_key("key"), numbered(None).0] {
            credentials.authorise(&mut metadata).await.expect("authorised");
            assert_eq!(metadata, before);
        }
    }
    assert!(authorised(&Credentials::none()).await.is_empty());
}

#[tokio::test]
async fn an_illegal_key_is_an_error_that_does_not_show_it() {
    for key in ["", " ", "secret\nkey", "secret\u{0}"] {
        let credentials = Credentials::api_key(key);
        let error = credentials.authorise(&mut HeaderMap::new()).await.expect_err("illegal");
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(!format!("{error} {error:?}").contains("secret"));
        assert!(credentials.check().is_err());
    }
}

#[tokio::test]
async fn debug_hides_keys_and_tokens() {
    let (bearer, _) = numbered(None);
    authorised(&bearer).await;
    let shown =
        format!("{:?} {bearer:?} {:?}", Credentials::api_key("token-key"), Token::new("token-x"));
    assert!(!shown.contains("token-"), "{shown}");
}

#[tokio::test]
async fn the_environment_is_asked_in_order() {
    for (set, expected) in [
        (&[("GEMINI_API_KEY", "a"), ("GOOGLE_API_KEY", "b")][..], Some("a")),
        (&[("GEMINI_API_KEY", " "), ("GOOGLE_API_KEY", "b")], Some("b")),
        (&[("GOOGLE_API_KEY", "b")], Some("b")),
        (&[("API_KEY", "c")], None),
    ] {
        let found = Credentials::from_env(|name| {
            let value = set.iter().find(|(key, _)| *key == name)?;
            Some(value.1.to_owned())
        });
        match (found, expected) {
            (Ok(found), Some(key)) => assert_eq!(authorised(&found).await[&API_KEY], key),
            (Err(error), None) => {
                assert_eq!(error.kind(), ErrorKind::Credentials);
                let text = error.to_string();
                assert!(VARIABLES.iter().all(|name| text.contains(name)), "{text}");
            }
            (found, expected) => panic!("{found:?}, not {expected:?}"),
        }
    }
}

#[tokio::test]
async fn a_token_without_expiry_is_asked_for_once() {
    let (credentials, count) = numbered(None);
    for _ in 0..3 {
        assert_eq!(text(&authorised(&credentials).await), "Bearer token-1");
    }
    assert_eq!(count.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_ahead_of_its_expiry_while_calls_use_the_old_one() {
    let (credentials, count) = numbered(Some(Duration::from_secs(3600)));
    authorised(&credentials).await;
    advance(Duration::from_secs(3600 - 225 - 1)).await;
    assert_eq!(text(&authorised(&credentials).await), "Bearer token-1");
    assert_eq!(count.load(Ordering::SeqCst), 1);
    advance(Duration::from_secs(1)).await;
    assert_eq!(text(&authorised(&credentials).await), "Bearer token-1");
    tokio::task::yield_now().await;
    assert_eq!(text(&authorised(&credentials).await), "Bearer token-2");
    assert_eq!(count.load(Ordering::SeqCst), 2);
    advance(Duration::from_secs(3600)).await;
    assert_eq!(text(&authorised(&credentials).await), "Bearer token-3");
}

/// A source that fails at these askings, and whose tokens last an hour.
fn failing_at(failing: &'static [u32]) -> (Credentials, Arc<AtomicU32>) {
    let count = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&count);
    let credentials = Credentials::bearer(move || {
        let number = counted.fetch_add(1, Ordering::SeqCst) + 1;
        let token = Token::new(format!("token-{number}")).expires_in(Duration::from_secs(3600));
        async move { if failing.contains(&number) { Err("the vault is sealed") } else { Ok(token) } }
    });
    (credentials, count)
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_fails_ahead_of_the_expiry_costs_no_call_and_is_tried_again_after_a_pause() {
    let (credentials, count) = failing_at(&[2, 3]);
    let ask = async || {
        let header = text(&authorised(&credentials).await).to_owned();
        // What goes on in the background has its turn.
        tokio::task::yield_now().await;
        (header, count.load(Ordering::SeqCst))
    };
    let first = |asked| ("Bearer token-1".to_owned(), asked);
    assert_eq!(ask().await, first(1));
    advance(Duration::from_secs(3600 - 225)).await;
    assert_eq!(ask().await, first(2), "it fails");
    assert_eq!(ask().await, first(2), "and is not tried with each call");
    advance(Duration::from_secs(9)).await;
    assert_eq!(ask().await, first(2));
    advance(Duration::from_secs(1)).await;
    assert_eq!(ask().await, first(3), "it fails again");
    advance(Duration::from_secs(10)).await;
    assert_eq!(ask().await, first(4), "and succeeds");
    assert_eq!(ask().await, ("Bearer token-4".to_owned(), 4));
    advance(Duration::from_secs(3600 - 226)).await;
    assert_eq!(ask().await, ("Bearer token-4".to_owned(), 4), "the new one has its own time");
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_failed_ahead_is_not_the_failure_of_a_call_after_the_expiry() {
    let (credentials, count) = failing_at(&[2]);
    authorised(&credentials).await;
    advance(Duration::from_secs(3600 - 225)).await;
    authorised(&credentials).await;
    tokio::task::yield_now().await;
    assert_eq!(count.load(Ordering::SeqCst), 2);
    advance(Duration::from_secs(225)).await;
    assert_eq!(text(&authorised(&credentials).await), "Bearer token-3", "the source is asked anew");
}

#[tokio::test]
async fn many_calls_cause_one_renewal_and_share_its_failure() {
    let gate = Arc::new(Notify::new());
    let count = Arc::new(AtomicU32::new(0));
    let (opened, counted) = (Arc::clone(&gate), Arc::clone(&count));
    let credentials = Credentials::bearer(move || {
        let number = counted.fetch_add(1, Ordering::SeqCst);
        let opened = Arc::clone(&opened);
        async move {
            opened.notified().await;
            match number {
                0 => Err("the vault is sealed"),
                _ => Ok("token"),
            }
        }
    });
    for (round, succeeds) in [(1, false), (2, true)] {
        let calls: Vec<_> = (0..10)
            .map(|_| {
                let credentials = credentials.clone();
                tokio::spawn(async move { credentials.authorise(&mut HeaderMap::new()).await })
            })
            .collect();
        tokio::task::yield_now().await;
        gate.notify_one();
        for call in calls {
            let outcome = call.await.expect("no panic");
            assert_eq!(outcome.is_ok(), succeeds);
            if let Err(error) = outcome {
                assert_eq!(error.kind(), ErrorKind::Credentials);
                let source = std::error::Error::source(&error).expect("source");
                assert_eq!(source.to_string(), "the vault is sealed");
            }
        }
        assert_eq!(count.load(Ordering::SeqCst), round);
    }
}

#[tokio::test]
async fn a_refused_token_is_renewed_once() {
    let (credentials, count) = numbered(None);
    let refused = authorised(&credentials).await;
    assert!(credentials.invalidate(&refused));
    let renewed = authorised(&credentials).await;
    assert_eq!(text(&renewed), "Bearer token-2");
    // A second call with the old token is refused later: the new one stays.
    assert!(credentials.invalidate(&refused));
    assert_eq!(text(&authorised(&credentials).await), "Bearer token-2");
    assert_eq!(count.load(Ordering::SeqCst), 2);

    let mut callers = HeaderMap::new();
    callers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer the caller's"));
    assert!(!credentials.invalidate(&callers));
    assert!(!Credentials::api_key("key").invalidate(&refused));
}

#[tokio::test]
async fn a_token_that_cannot_be_sent_is_an_error_that_does_not_show_it() {
    for token in ["", "secret\ntoken"] {
        let credentials = Credentials::bearer(move || async move { Ok::<_, io::Error>(token) });
        let error = credentials.authorise(&mut HeaderMap::new()).await.expect_err("illegal");
        assert_eq!(error.kind(), ErrorKind::Credentials);
        assert!(!format!("{error} {error:?}").contains("secret"));
    }
}
