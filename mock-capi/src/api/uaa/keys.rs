//! The RSA key pair that signs tokens.

use std::fmt;
use std::sync::{Arc, OnceLock};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use pem::{EncodeConfig, LineEnding, Pem};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};

/// The ID of the key in tokens and in `/token_keys`.
const KEY_ID: &str = "key-1";

/// The reason why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    /// The system's random numbers or the library failed.
    #[error("an RSA key pair cannot be generated")]
    Generate,
    /// A state file contains no valid key.
    #[error("the key is not an RSA key in PKCS #8: {0}")]
    Read(String),
    /// The library refused to sign.
    #[error("the token cannot be signed")]
    Sign(#[from] jsonwebtoken::errors::Error),
}

static PROCESS_KEY: OnceLock<Option<Arc<SigningKey>>> = OnceLock::new();

/// An RSA key pair.
pub(crate) struct SigningKey {
    private_pem: String,
    public_pem: String,
    modulus: Vec<u8>,
    exponent: Vec<u8>,
    encoding: EncodingKey,
    decoding: DecodingKey,
}

impl SigningKey {
    /// The key of this process. It is generated when it is first needed.
    pub(crate) fn of_process() -> Result<Arc<Self>, KeyError> {
        let key = PROCESS_KEY.get_or_init(|| {
            let pair = KeyPair::generate(KeySize::Rsa2048).ok()?;
            let der: Pkcs8V1Der<'_> = pair.as_der().ok()?;
            let pem = encode_pem("PRIVATE KEY", der.as_ref());
            Self::from_pem(&pem).ok().map(Arc::new)
        });
        key.clone().ok_or(KeyError::Generate)
    }

    /// The key of this process, if it was already generated.
    pub(crate) fn generated() -> Option<Arc<Self>> {
        PROCESS_KEY.get()?.clone()
    }

    /// Reads a private key in PKCS #8.
    fn from_pem(text: &str) -> Result<Self, KeyError> {
        let refuse = |error: &dyn fmt::Display| KeyError::Read(error.to_string());
        let private = pem::parse(text).map_err(|error| refuse(&error))?;
        let pair = KeyPair::from_pkcs8(private.contents()).map_err(|error| refuse(&error))?;
        let public = pair.public_key();
        let der: PublicKeyX509Der<'_> = public.as_der().map_err(|error| refuse(&error))?;
        let modulus = public.modulus().big_endian_without_leading_zero();
        let exponent = public.exponent().big_endian_without_leading_zero();
        Ok(Self {
            private_pem: text.to_owned(),
            public_pem: encode_pem("PUBLIC KEY", der.as_ref()),
            encoding: EncodingKey::from_rsa_pem(text.as_bytes())?,
            decoding: DecodingKey::from_rsa_raw_components(modulus, exponent),
            modulus: modulus.to_vec(),
            exponent: exponent.to_vec(),
        })
    }

    /// Signs claims. `keys_url` is the URL of the public key.
    pub(crate) fn sign(
        &self,
        claims: &impl Serialize,
        keys_url: String,
    ) -> Result<String, KeyError> {
        let mut header = Header::new(Algorithm::RS256);
        header.kid = Some(KEY_ID.into());
        header.jku = Some(keys_url);
        Ok(jsonwebtoken::encode(&header, claims, &self.encoding)?)
    }

    /// The claims of a token that this key has signed, expired or not.
    pub(crate) fn verify<T: DeserializeOwned>(&self, token: &str) -> Option<T> {
        let mut validation = Validation::new(Algorithm::RS256);
        // The fake has its own clock.
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let decoded = jsonwebtoken::decode(token, &self.decoding, &validation);
        decoded.ok().map(|decoded| decoded.claims)
    }

    /// The public key as a JSON Web Key, with the PEM text that UAA adds.
    pub(crate) fn public(&self) -> Value {
        json!({
            "kty": "RSA",
            "e": URL_SAFE_NO_PAD.encode(&self.exponent),
            "use": "sig",
            "kid": KEY_ID,
            "alg": "RS256",
            "value": self.public_pem,
            "n": URL_SAFE_NO_PAD.encode(&self.modulus),
        })
    }
}

fn encode_pem(tag: &str, der: &[u8]) -> String {
    let config = EncodeConfig::new().set_line_ending(LineEnding::LF);
    let text = pem::encode_config(&Pem::new(tag, der), config);
    text.trim_end().to_owned()
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey")
    }
}

/// Serialized as the private key in PEM.
impl Serialize for SigningKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.private_pem)
    }
}

impl<'de> Deserialize<'de> for SigningKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::from_pem(&text).map_err(D::Error::custom)
    }
}
