//! TLS: decides which server certificates are trusted.
//!
//! Trusted certificates are the system's certificates, or those in `SSL_CERT_FILE` and
//! `SSL_CERT_DIR`, and those in the caller's file. As in curl and Go, a self-signed
//! certificate in one of these files is trusted for its own server, even if it is marked
//! as the certificate of an authority. rustls alone refuses that.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use rustls::crypto::{
    WebPkiSupportedAlgorithms, aws_lc_rs, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};

use crate::capi::error::Error;

/// The protocols to negotiate, the preferred one first.
const ALPN: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The maximum size of a file of certificates, in bytes.
const MAX_FILE: u64 = 10_000_000;

/// A configuration that trusts the system's certificates and those in `ca_cert`, a file
/// in PEM format.
pub(super) fn config(ca_cert: Option<&Path>) -> Result<ClientConfig, Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier = Verifier {
        algorithms: provider.signature_verification_algorithms,
        given: ca_cert.map(read).transpose()?.unwrap_or_default(),
        trusted: OnceLock::new(),
    };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::local("preparing TLS", error))?;
    let mut config = builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = ALPN.map(<[u8]>::to_vec).into();
    Ok(config)
}

fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let failed = |reason: String, source| Error::Certificates {
        path: path.to_owned(),
        reason,
        source,
    };
    let text = read_at_most(path, MAX_FILE)
        .map_err(|error| failed(error.to_string(), Some(Arc::new(error))))?;
    let certificates = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| failed(error.to_string(), Some(Arc::new(error))))?;
    if certificates.is_empty() {
        let reason = "the file has no certificate in PEM format";
        return Err(failed(reason.to_owned(), None));
    }
    Ok(certificates)
}

fn read_at_most(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    match read as u64 > most {
        true => Err(io::Error::other(format!(
            "it is larger than {} MB",
            most / 1_000_000
        ))),
        false => Ok(bytes),
    }
}

/// The certificates that the system trusts.
fn of_system() -> Vec<CertificateDer<'static>> {
    // This is called while connecting, which a pipe would block.
    let file = std::env::var_os("SSL_CERT_FILE").unwrap_or_default();
    if fs::metadata(&file).is_ok_and(|found| !found.is_file()) {
        tracing::debug!(?file, "SSL_CERT_FILE is not a file");
        return Vec::new();
    }
    let system = rustls_native_certs::load_native_certs();
    for error in &system.errors {
        tracing::debug!(%error, "a certificate of the system cannot be read");
    }
    system.certs
}

/// Verifies a certificate as WebPKI does, and also accepts certificates that are trusted
/// themselves.
#[derive(Debug)]
struct Verifier {
    algorithms: WebPkiSupportedAlgorithms,
    /// The certificates of the caller's file.
    given: Vec<CertificateDer<'static>>,
    /// The system has more than a hundred certificates, so they are only read for a server
    /// that has one.
    trusted: OnceLock<TrustedRoots>,
}

/// All trusted certificates, and the same certificates as authorities.
#[derive(Debug)]
struct TrustedRoots {
    certificates: Vec<CertificateDer<'static>>,
    authorities: RootCertStore,
}

impl Verifier {
    fn trusted(&self) -> &TrustedRoots {
        self.trusted.get_or_init(|| {
            let mut certificates = of_system();
            certificates.extend(self.given.iter().cloned());
            let mut authorities = RootCertStore::empty();
            authorities.add_parsable_certificates(certificates.iter().cloned());
            TrustedRoots {
                certificates,
                authorities,
            }
        })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let trusted = self.trusted();
        let signed = verify_server_cert_signed_by_trust_anchor(
            &certificate,
            &trusted.authorities,
            intermediates,
            now,
            self.algorithms.all,
        );
        match signed {
            // WebPKI checks the validity period before the issuer.
            Err(error) if is_about_issuer(&error) && trusted.certificates.contains(end_entity) => {}
            signed => signed?,
        }
        verify_server_name(&certificate, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Whether the only problem of the certificate is that no trusted authority issued it.
/// `CaUsedAsEndEntity` of WebPKI is an `Other` error.
fn is_about_issuer(error: &rustls::Error) -> bool {
    use rustls::Error::InvalidCertificate;
    matches!(
        error,
        InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::Other(_))
    )
}
