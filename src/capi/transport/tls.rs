//! TLS: which server certificates are trusted.
//!
//! Trusted are the system's certificates, or those of `SSL_CERT_FILE` and
//! `SSL_CERT_DIR`, and those of a file that the caller names. As in curl and Go, a
//! self-signed certificate in one of these files is trusted for its own server, even if
//! it is marked as the certificate of an authority. rustls alone refuses that.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};

use crate::capi::error::Error;

/// The protocols to negotiate, the preferred one first.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// A configuration that trusts the system's certificates and those in `ca_cert`, a file
/// in PEM format.
pub(super) fn config(ca_cert: Option<&Path>) -> Result<ClientConfig, Error> {
    let system = rustls_native_certs::load_native_certs();
    for error in &system.errors {
        tracing::debug!(%error, "a certificate of the system cannot be read");
    }
    let mut certificates = system.certs;
    if let Some(path) = ca_cert {
        certificates.extend(read(path)?);
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates.iter().cloned());
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::local("preparing TLS", error))?;
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
    let mut config = match verifier {
        Ok(webpki) => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Verifier {
                webpki,
                certificates,
            }))
            .with_no_client_auth(),
        // Without any certificate, no server is trusted.
        Err(_) => builder
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth(),
    };
    config.alpn_protocols = ALPN.map(<[u8]>::to_vec).into();
    Ok(config)
}

fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let failed = |reason: String, source| Error::Certificates {
        path: path.to_owned(),
        reason,
        source,
    };
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| {
            let reason = match &error {
                pem::Error::Io(error) => error.to_string(),
                other => other.to_string(),
            };
            failed(reason, Some(Arc::new(error)))
        })?;
    if certificates.is_empty() {
        let reason = "the file has no certificate in PEM format";
        return Err(failed(reason.to_owned(), None));
    }
    Ok(certificates)
}

/// Verifies a certificate as WebPKI does, and accepts those that are trusted themselves.
#[derive(Debug)]
struct Verifier {
    webpki: Arc<WebPkiServerVerifier>,
    certificates: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self.webpki.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match verified {
            Err(error) if is_about_issuer(&error) && self.certificates.contains(end_entity) => {
                // WebPKI checks the validity period before the issuer, the name after it.
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.webpki.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.webpki.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}

/// Whether the certificate is valid except that no authority vouches for it.
/// `CaUsedAsEndEntity` of WebPKI is an `Other` error.
fn is_about_issuer(error: &rustls::Error) -> bool {
    use rustls::Error::InvalidCertificate;
    matches!(
        error,
        InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::Other(_))
    )
}
