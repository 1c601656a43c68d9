//! Certificates for tests and benches: authorities, and what they sign.

// Each test program uses its own part of this.
#![allow(dead_code)]

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DistinguishedName, DnType, IsCa, Issuer,
    KeyPair,
};

/// An authority: a root, or one below another.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub certificate: Certificate,
}

/// A server's certificate with its key.
pub struct Leaf {
    pub certificate: Certificate,
    pub key: KeyPair,
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

/// A subject of a common name and nothing else.
pub fn named(name: &str) -> DistinguishedName {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, name);
    subject
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}

impl Authority {
    /// A root.
    pub fn root(name: &str) -> Self {
        let (params, key) = (authority(name), key());
        let certificate = params.self_signed(&key).expect("a certificate");
        Self {
            issuer: Issuer::new(params, key),
            certificate,
        }
    }

    /// An authority that this one vouches for.
    pub fn below(&self, name: &str) -> Self {
        let (params, key) = (authority(name), key());
        let certificate = params.signed_by(&key, &self.issuer);
        Self {
            certificate: certificate.expect("a certificate"),
            issuer: Issuer::new(params, key),
        }
    }

    /// A server's certificate for `names`.
    pub fn leaf(&self, names: &[&str]) -> Leaf {
        self.leaf_with(names, |_| {})
    }

    /// The same, changed before it is signed.
    pub fn leaf_with(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Leaf {
        let (params, key) = (changed(names, change), key());
        let certificate = params.signed_by(&key, &self.issuer);
        Leaf {
            certificate: certificate.expect("a certificate"),
            key,
        }
    }
}

/// A certificate that nobody but itself vouches for.
pub fn self_signed(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Leaf {
    let (params, key) = (changed(names, change), key());
    Leaf {
        certificate: params.self_signed(&key).expect("a certificate"),
        key,
    }
}

fn changed(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|n| n.to_string()).collect();
    let mut params = CertificateParams::new(names).expect("names");
    params.distinguished_name = named("a server");
    change(&mut params);
    params
}
