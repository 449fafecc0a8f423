//! Signs the assertions by which an application authenticates (RFC 7515, RFC 7523).

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::secret::{Secret, random_text};

/// The signature algorithm of an assertion (RFC 7518 §3.3, §3.5).
#[derive(Clone, Copy, Debug)]
pub(in crate::oauth) enum Algorithm {
    /// For Google.
    Rs256,
    /// For Microsoft.
    Ps256,
}

/// An RSA key that signs assertions.
pub(in crate::oauth) struct SigningKey(RsaKeyPair);

impl SigningKey {
    /// Reads a key from PEM, PKCS#8 or PKCS#1. The error is a clause for a person and contains nothing of the
    /// key.
    pub(in crate::oauth) fn from_pem(pem: &[u8]) -> Result<Self, &'static str> {
        let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_| "it holds no private key in PEM form")?;
        let pair = match &key {
            PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
            PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
            _ => return Err("its private key is not an RSA key"),
        };
        pair.map(Self).map_err(|_| "its private key is not an RSA key of 2048 bits or more")
    }

    /// The public key in the form that a certificate holds (PKCS#1).
    pub(in crate::oauth) fn public_key(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    /// The compact serialisation of `claims` under `header`, which gets `alg` and `typ`.
    pub(in crate::oauth) fn sign(
        &self,
        algorithm: Algorithm,
        mut header: Value,
        claims: &Value,
    ) -> Result<Secret, &'static str> {
        let (name, encoding): (_, &'static dyn RsaEncoding) = match algorithm {
            Algorithm::Rs256 => ("RS256", &RSA_PKCS1_SHA256),
            Algorithm::Ps256 => ("PS256", &RSA_PSS_SHA256),
        };
        header["alg"] = json!(name);
        header["typ"] = json!("JWT");
        let encode = |part: &[u8]| URL_SAFE_NO_PAD.encode(part);
        let message = Zeroizing::new(format!(
            "{}.{}",
            encode(header.to_string().as_bytes()),
            encode(claims.to_string().as_bytes())
        ));
        let mut signature = vec![0; self.0.public_modulus_len()];
        self.0
            .sign(encoding, &SystemRandom::new(), message.as_bytes(), &mut signature)
            .map_err(|_| "it cannot sign")?;
        Ok(Secret::new(format!("{}.{}", *message, encode(&signature))))
    }
}

/// A unique value for `jti`.
pub(in crate::oauth) fn fresh_id() -> String {
    random_text::<16>()
}
