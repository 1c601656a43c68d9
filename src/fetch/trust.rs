//! Whom a crawl believes: certificate authorities, and what a certificate that is not believed counts as.
//!
//! What must hold: verification is on and cannot be switched off; name, validity and chain are checked on every full
//! handshake. Every way in which it fails has one [`Outcome`].
//!
//! Deliberately absent: revocation (no OCSP, no CRLs: a crawler sends nothing secret), client certificates, pinning.

use crate::config::Roots;
use crate::error::{Error, Result};
use crate::event::Outcome;
use crate::limits::CA_FILE_BYTES_MAX;
use crate::time::wall_now;
use rustls::CertificateError;
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, RootCertStore};
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The certificate authorities of a crawl, ready to verify. Cheap to copy; all lanes share one.
#[derive(Clone)]
pub struct Trust {
    verifier: Arc<WebPkiServerVerifier>,
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trust")
    }
}

impl Trust {
    /// Believes the authorities of `roots` and `more` (certificates in DER).
    ///
    /// # Errors
    /// The system has no authorities, or one of `more` cannot be one.
    pub fn new(roots: Roots, more: &[Vec<u8>]) -> Result<Self> {
        let mut store = match roots {
            Roots::Webpki => {
                RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned())
            }
            Roots::System => system_roots()?,
        };
        for der in more {
            store
                .add(CertificateDer::from(der.as_slice()))
                .map_err(|e| Error::usage(format!("--ca: {e}")))?;
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier =
            WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider.clone())
                .build()
                .map_err(|e| Error::environment(format!("no certificate authorities: {e}")))?;
        Ok(Self { verifier, provider })
    }

    /// A TLS configuration that believes these: TLS 1.2 and 1.3, HTTP/1.1 only.
    ///
    /// # Errors
    /// None with the provider that [`Trust::new`] takes.
    pub(super) fn configuration(&self) -> std::result::Result<ClientConfig, rustls::Error> {
        let mut config =
            ClientConfig::builder_with_details(self.provider.clone(), Arc::new(CrawlTime))
                .with_safe_default_protocol_versions()?
                .with_webpki_verifier(self.verifier.clone())
                .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// Time as rustls asks for it, from the one place that reads a clock.
#[derive(Debug)]
struct CrawlTime;

impl TimeProvider for CrawlTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(
            Duration::from_millis(wall_now()),
        ))
    }
}

fn system_roots() -> Result<RootCertStore> {
    let found = rustls_native_certs::load_native_certs();
    let mut store = RootCertStore::empty();
    let (added, _unusable) = store.add_parsable_certificates(found.certs);
    if added == 0 {
        let why = found.errors.first().map(|e| format!(" ({e})"));
        return Err(Error::environment(format!(
            "--roots system: this machine has no certificate authorities{}; install ca-certificates or use --roots webpki",
            why.unwrap_or_default()
        )));
    }
    Ok(store)
}

/// Reads the certificates of a PEM file, as DER, and checks that each can be an authority. Other PEM sections are skipped.
///
/// # Errors
/// The file cannot be read, is longer than [`CA_FILE_BYTES_MAX`], is no PEM, holds no certificate, or one that is none.
pub fn read_authorities(path: &Path) -> Result<Vec<Vec<u8>>> {
    let wrong = |why: &dyn fmt::Display| Error::usage(format!("--ca {}: {why}", path.display()));
    let mut text = Vec::new();
    File::open(path)
        .and_then(|file| file.take(CA_FILE_BYTES_MAX + 1).read_to_end(&mut text))
        .map_err(|e| wrong(&e))?;
    if text.len() as u64 > CA_FILE_BYTES_MAX {
        return Err(wrong(&format_args!(
            "longer than {CA_FILE_BYTES_MAX} bytes"
        )));
    }
    let mut found = Vec::new();
    for (n, certificate) in CertificateDer::pem_slice_iter(&text).enumerate() {
        let certificate = certificate.map_err(|e| wrong(&format_args!("not PEM: {e}")))?;
        webpki::anchor_from_trusted_cert(&certificate)
            .map_err(|e| wrong(&format_args!("certificate {} cannot be used: {e}", n + 1)))?;
        found.push(certificate.to_vec());
    }
    if found.is_empty() {
        return Err(wrong(&"holds no certificate in PEM (BEGIN CERTIFICATE)"));
    }
    Ok(found)
}

/// What a failed handshake counts as.
pub(super) fn outcome_of(error: &rustls::Error) -> Outcome {
    match error {
        rustls::Error::InvalidCertificate(why) => outcome_of_certificate(why),
        _ => Outcome::TlsProtocol,
    }
}

fn outcome_of_certificate(why: &CertificateError) -> Outcome {
    use CertificateError as C;
    match why {
        C::Expired | C::ExpiredContext { .. } | C::NotValidYet | C::NotValidYetContext { .. } => {
            Outcome::TlsExpired
        }
        C::NotValidForName | C::NotValidForNameContext { .. } => Outcome::TlsWrongName,
        C::UnknownIssuer => Outcome::TlsUntrusted,
        C::Other(inner) => match inner.0.downcast_ref::<webpki::Error>() {
            // What `openssl req -x509` makes: its own authority, and nobody else's.
            Some(webpki::Error::CaUsedAsEndEntity) => Outcome::TlsUntrusted,
            _ => Outcome::TlsBadCertificate,
        },
        _ => Outcome::TlsBadCertificate,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compiled_in_authorities_can_be_used() {
        let trust = Trust::new(Roots::Webpki, &[]).unwrap();
        let config = trust.configuration().unwrap();
        assert_eq!(config.alpn_protocols, [b"http/1.1"]);
        assert!(webpki_roots::TLS_SERVER_ROOTS.len() > 50);
    }

    #[test]
    fn files_of_authorities_are_checked_and_named() {
        let dir = tempfile::tempdir().unwrap();
        let said = |text: &[u8]| {
            let path = dir.path().join("ca.pem");
            std::fs::write(&path, text).unwrap();
            let error = read_authorities(&path).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            let error = error.to_string();
            assert!(error.contains("ca.pem") && !error.contains('\n'), "{error}");
            error
        };
        assert!(said(b"").contains("BEGIN CERTIFICATE"));
        assert!(said(b"-----BEGIN CERTIFICATE-----\nAAAA\n").contains("not PEM"));
        let none = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(said(none).contains("certificate 1"));
        let missing = read_authorities(&dir.path().join("none.pem")).unwrap_err();
        assert!(missing.to_string().contains("none.pem"));
    }

    #[test]
    fn every_cause_has_its_outcome() {
        use CertificateError as C;
        let other = |e| C::Other(rustls::OtherError(Arc::new(e)));
        for (why, outcome) in [
            (C::Expired, Outcome::TlsExpired),
            (C::NotValidYet, Outcome::TlsExpired),
            (C::NotValidForName, Outcome::TlsWrongName),
            (C::UnknownIssuer, Outcome::TlsUntrusted),
            (
                other(webpki::Error::CaUsedAsEndEntity),
                Outcome::TlsUntrusted,
            ),
            (
                other(webpki::Error::PathLenConstraintViolated),
                Outcome::TlsBadCertificate,
            ),
            (C::BadSignature, Outcome::TlsBadCertificate),
            (C::BadEncoding, Outcome::TlsBadCertificate),
        ] {
            let error = rustls::Error::InvalidCertificate(why);
            assert_eq!(outcome_of(&error), outcome, "{error}");
        }
        let alert = rustls::Error::AlertReceived(rustls::AlertDescription::HandshakeFailure);
        assert_eq!(outcome_of(&alert), Outcome::TlsProtocol);
    }
}
