//! Which proxy is in force, by the environment and by the user's word.

use crate::error::{Error, ErrorKind};
use crate::network::Proxy;
use crate::network::address::Origin;
use crate::network::hop::ProxyHop;
use crate::network::login::Password;
use crate::network::proxy::Proxies;

fn resolved(variables: &[(&str, &str)]) -> Result<Proxies, Error> {
    Proxy::from_env().resolve_with(|name| {
        let (_, value) = variables.iter().find(|(key, _)| *key == name)?;
        Some(value.into())
    })
}

fn found(proxies: &Proxies, endpoint: &str) -> Option<String> {
    let origin = Origin::parse(endpoint, true).expect("origin");
    proxies.find(&origin).map(ProxyHop::spelt_out)
}

#[test]
fn a_value_that_cannot_be_used_is_an_error_that_does_not_show_it() {
    for url in [
        "",
        "http://",
        "http://:3128",
        "socks4://secret.test",
        "ftp://user:secret@p.test",
        "http://user:secret@p.test:port",
        "http://user:secret@p test",
        "http://user:secret%ff@p.test",
        "http://secret.test/proxy.pac",
        "http://us%3Aer:secret@p.test",
        "socks5://user@secret.test",
    ] {
        let error = match Proxy::url(url) {
            Ok(proxy) => proxy.resolve_with(|_| None).expect_err(url),
            Err(error) => error,
        };
        assert_eq!(error.kind(), ErrorKind::Configuration);
        let text = format!("{error} {error:?}");
        assert!(!text.contains("sec"), "{text}");
        if !url.is_empty() {
            let error = resolved(&[("HTTPS_PROXY", url)]).expect_err(url);
            assert!(!error.to_string().contains("sec"), "{error}");
        }
    }
}

#[test]
fn the_environment_is_read_by_the_rules_of_grpc_and_curl() {
    let (https, http) = ("https://a.test", "http://localhost:80");
    for (variables, endpoint, expected) in [
        ("", https, None),
        ("https_proxy=l HTTPS_PROXY=u", https, Some("l")),
        ("HTTPS_PROXY=u", https, Some("u")),
        ("https_proxy= HTTPS_PROXY=u", https, Some("u")),
        ("https_proxy=l HTTPS_PROXY=", https, Some("l")),
        ("http_proxy=h", https, None),
        ("http_proxy=h https_proxy=s", http, Some("h")),
        ("HTTP_PROXY=h", http, Some("h")),
        ("HTTP_PROXY=h REQUEST_METHOD=GET", http, None),
        ("http_proxy=h REQUEST_METHOD=GET", http, Some("h")),
        ("HTTPS_PROXY=s REQUEST_METHOD=GET", https, Some("s")),
        ("all_proxy=a ALL_PROXY=b", https, Some("a")),
        ("ALL_PROXY=b https_proxy=s", https, Some("s")),
        ("ALL_PROXY=b", http, Some("b")),
        ("grpc_proxy=g https_proxy=s", https, Some("g")),
        ("grpc_proxy=g http_proxy=h", http, Some("g")),
        ("https_proxy=s no_proxy=a.test", https, None),
        ("https_proxy=s NO_PROXY=a.test:443", https, None),
        ("https_proxy=s no_proxy= NO_PROXY=*", https, None),
        ("https_proxy=s no_grpc_proxy=b no_proxy=*", https, Some("s")),
        ("https_proxy=s no_grpc_proxy=a.test", https, None),
    ] {
        let set: Vec<_> =
            variables.split_whitespace().filter_map(|set| set.split_once('=')).collect();
        let proxies = resolved(&set).expect("legal");
        let expected = expected.map(|host| format!("http://{host}:1080"));
        assert_eq!(found(&proxies, endpoint), expected, "{variables:?} {endpoint}");
    }
}

#[test]
fn the_users_word_stands_above_the_environment() {
    let environment = |name: &str| match name {
        "https_proxy" => Some("http://env.test:1".into()),
        "no_proxy" => Some("*".into()),
        _ => None,
    };
    let none = Proxy::none().resolve_with(environment).expect("none");
    assert_eq!(found(&none, "https://a.test"), None);
    let named = Proxy::url("http://u:p@named.test:1").expect("url").basic_auth("me", "word");
    let named = named.resolve_with(environment).expect("named");
    let expected = "http://me:word@named.test:1";
    assert_eq!(found(&named, "https://a.test").as_deref(), Some(expected));
}

#[test]
fn debug_and_display_hide_the_password() {
    let proxy = Proxy::url("http://user:secret@p.test:1").expect("url");
    let login = Proxy::none().basic_auth("user", "secret");
    let proxies = proxy.clone().resolve_with(|_| None).expect("resolved");
    let hop = proxies.https.as_ref().expect("hop");
    let basic = hop.password().and_then(Password::basic).expect("basic");
    let text = format!("{proxy:?} {login:?} {proxies:?} {hop:?} {hop} {basic:?}");
    assert!(!text.contains("secret") && !text.contains("dXNl"), "{text}");
    assert_eq!(basic, "Basic dXNlcjpzZWNyZXQ=");
}
