//! Connections with TLS: whom they trust, and whom they tell nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use subconscious::testing::TestServer;
use subconscious::{Db, Error, RedisModel};
use subconscious_tests::door::{Door, connect};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio_rustls::TlsAcceptor;

#[derive(Debug, Clone, PartialEq, RedisModel)]
struct Secret {
    #[column(primary_key)]
    id: u32,
    #[column(index)]
    kind: String,
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate for a name, and its key, both in PEM.
fn certificate(authority: &CertifiedIssuer<'static, KeyPair>, name: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new([name.to_owned()]).unwrap();
    (params.signed_by(&key, authority).unwrap().pem(), key.serialize_pem())
}

/// Speaks TLS before a server that does not, so that any server will do.
struct Front {
    door: Door,
    /// Bytes that clients said after the handshake.
    heard: Arc<AtomicUsize>,
}

impl Front {
    async fn start(server: &TestServer, (certificate, key): (String, String), clients: Option<&str>) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
        let config = match clients {
            None => config.with_no_client_auth(),
            Some(pem) => {
                let mut roots = RootCertStore::empty();
                roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
                config.with_client_cert_verifier(verifier)
            }
        };
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config.with_single_cert(vec![certificate], key).unwrap()));
        let port = server.port().unwrap();
        let heard = Arc::new(AtomicUsize::new(0));
        let told = Arc::clone(&heard);
        let door = Door::open(move |client| {
            let (acceptor, heard) = (acceptor.clone(), Arc::clone(&told));
            async move {
                let Ok(mut client) = acceptor.accept(client).await else { return };
                let mut first = vec![0; 4096];
                let Ok(length @ 1..) = client.read(&mut first).await else { return };
                heard.fetch_add(length, Ordering::SeqCst);
                let mut server = connect(port).await.unwrap();
                if server.write_all(&first[..length]).await.is_ok() {
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                }
            }
        });
        Self { door: door.await, heard }
    }

    fn url(&self, host: &str) -> String {
        format!("rediss://:secret@{host}:{}/", self.door.port)
    }
}

async fn server() -> TestServer {
    TestServer::builder().tcp().arg("--requirepass", "secret").start().await.unwrap()
}

#[tokio::test]
async fn a_private_authority_is_trusted_if_it_is_named() {
    let (server, ours) = (server().await, authority());
    let front = Front::start(&server, certificate(&ours, "localhost"), None).await;
    let db = Db::builder().root_certificates(ours.pem()).open(&front.url("localhost")).await.unwrap();
    for id in 0..300 {
        Secret { id, kind: format!("k{}", id % 3) }.save(&db).await.unwrap();
    }
    assert_eq!(Secret::filter_by(|s| s.kind.eq("k1")).fetch(&db).await.unwrap().len(), 100);
    // Both have the same authorities.
    let both = Db::builder().root_certificates(ours.pem()).read_from(front.url("localhost"));
    let both = both.open(&front.url("localhost")).await.unwrap();
    assert_eq!(Secret::all().count(&both).await.unwrap(), 300);
    assert!(front.heard.load(Ordering::SeqCst) > 0);
}

#[tokio::test]
async fn nobody_else_is_trusted_or_told_the_password() {
    let (server, ours, others) = (server().await, authority(), authority());
    let front = Front::start(&server, certificate(&ours, "localhost"), None).await;
    let elsewhere = Front::start(&server, certificate(&ours, "elsewhere.example"), None).await;
    for (what, builder, url) in [
        ("the system's authorities", Db::builder(), front.url("localhost")),
        ("another authority", Db::builder().root_certificates(others.pem()), front.url("localhost")),
        ("another name", Db::builder().root_certificates(ours.pem()), elsewhere.url("localhost")),
        ("an address for a name", Db::builder().root_certificates(ours.pem()), front.url("127.0.0.1")),
    ] {
        let error = builder.retries(0).open(&url).await.unwrap_err();
        assert!(error.is_connection(), "{what}: {error:?}");
        let text = format!("{error} {error:?}");
        assert!(text.contains("certificate"), "{what}: {text}");
        assert!(!text.contains("secret"), "{what}: {text}");
    }
    assert_eq!(front.heard.load(Ordering::SeqCst) + elsewhere.heard.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_server_may_want_a_certificate_too() {
    let (server, ours, others) = (server().await, authority(), authority());
    let front = Front::start(&server, certificate(&ours, "localhost"), Some(&ours.pem())).await;
    let trusting = || Db::builder().root_certificates(ours.pem()).retries(0);
    let (mine, key) = certificate(&ours, "client");
    let db = trusting().client_certificate(mine.clone(), key.clone()).open(&front.url("localhost")).await.unwrap();
    Secret { id: 1, kind: "k".into() }.save(&db).await.unwrap();
    assert!(trusting().open(&front.url("localhost")).await.unwrap_err().is_connection());
    let (foreign, foreign_key) = certificate(&others, "client");
    let refused = trusting().client_certificate(foreign, foreign_key).open(&front.url("localhost")).await;
    assert!(refused.unwrap_err().is_connection());

    // The key is in no text.
    let builder = trusting().client_certificate(mine, key.clone());
    assert!(!format!("{builder:?}").contains(key.lines().nth(1).unwrap()));
}

#[tokio::test]
async fn certificates_that_are_none_or_for_nothing_are_refused() {
    let ours = authority();
    let unsupported = async |builder: subconscious::DbBuilder, url: &str| match builder.open(url).await.unwrap_err() {
        Error::Configuration { reason, .. } => reason,
        error => panic!("{error:?}"),
    };
    let plain = unsupported(Db::builder().root_certificates(ours.pem()), "redis://127.0.0.1:1/").await;
    assert!(plain.contains("rediss://"), "{plain}");
    for nonsense in ["", "nonsense", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n"] {
        let reason = unsupported(Db::builder().root_certificates(nonsense), "rediss://127.0.0.1:1/").await;
        assert!(reason.contains("PEM"), "{reason}");
    }
    let (mine, _) = certificate(&ours, "client");
    let keyless = Db::builder().client_certificate(mine, "nonsense").open("rediss://127.0.0.1:1/").await.unwrap_err();
    assert!(keyless.to_string().contains("key"), "{keyless:?}");
}
