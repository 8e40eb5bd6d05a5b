//! The server's side of TLS.
//!
//! Owns: [`Certificates`], which are read from files and can be read again under way. Does not: watch the files, or know
//! which protocol runs inside.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A certificate chain with its key, and what TLS is made of them. Shared by all cores.
pub struct Certificates {
    chain: PathBuf,
    key: PathBuf,
    manner: Manner,
    config: ArcSwap<ServerConfig>,
}

/// What TLS does beside showing the certificate.
#[derive(Debug, Clone)]
struct Manner {
    /// Protocols that are offered, the best first.
    alpn: Vec<Vec<u8>>,
    /// Tickets that a client gets, each for one resumption.
    tickets: usize,
}

impl Default for Manner {
    fn default() -> Self {
        Self {
            alpn: Vec::new(),
            // what most servers send: a client may use both at a time
            tickets: 2,
        }
    }
}

impl Manner {
    fn apply(&self, config: &mut ServerConfig) {
        config.alpn_protocols.clone_from(&self.alpn);
        config.send_tls13_tickets = self.tickets;
    }
}

/// Why certificates cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// A file cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
    /// A file is not PEM, or what it must hold is not in it.
    #[error("{} is no {what} in PEM form: {error}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What it must hold.
        what: &'static str,
        /// What is wrong.
        error: pem::Error,
    },
    /// They are not sound, or do not belong together.
    #[error("certificates of {} do not work with the key of {}: {error}", chain.display(), key.display())]
    Unusable {
        /// The file of the chain.
        chain: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// What is wrong.
        error: rustls::Error,
    },
}

impl Certificates {
    /// Reads a chain, the server's own certificate first, and its key from files in PEM form. Blocks.
    pub fn load(chain: &Path, key: &Path) -> Result<Self, CertificateError> {
        let manner = Manner::default();
        let config = read(chain, key, &manner)?;
        Ok(Self {
            chain: chain.to_owned(),
            key: key.to_owned(),
            manner,
            config: ArcSwap::from_pointee(config),
        })
    }

    /// Offers these protocols by ALPN (RFC 7301), the best first, such as `http/1.1`. A client that asks for others only is
    /// refused; without a list, what clients ask for is not looked at.
    #[must_use]
    pub fn offering(self, protocols: &[&str]) -> Self {
        let alpn = protocols
            .iter()
            .map(|protocol| protocol.as_bytes().to_vec());
        let alpn = alpn.collect();
        self.behaving(|manner| manner.alpn = alpn)
    }

    /// Sends no tickets for resumption (RFC 8446, section 4.6.1). They come after the handshake, and librtmp on GnuTLS
    /// takes whatever is not its own protocol for a broken connection. Sessions that last lose nothing by it.
    #[must_use]
    pub fn without_tickets(self) -> Self {
        self.behaving(|manner| manner.tickets = 0)
    }

    fn behaving(mut self, change: impl FnOnce(&mut Manner)) -> Self {
        change(&mut self.manner);
        let mut config = ServerConfig::clone(&self.config.load());
        self.manner.apply(&mut config);
        self.config.store(Arc::new(config));
        self
    }

    /// Reads the files again, for handshakes that begin later. When that fails, nothing changes. Blocks.
    pub fn reload(&self) -> Result<(), CertificateError> {
        let config = read(&self.chain, &self.key, &self.manner)?;
        self.config.store(Arc::new(config));
        Ok(())
    }

    /// What a handshake that begins now goes by.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        self.config.load_full()
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates")
            .field("chain", &self.chain)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

fn read(chain: &Path, key: &Path, manner: &Manner) -> Result<ServerConfig, CertificateError> {
    let certificates = read_chain(chain)?;
    let secret = PrivateKeyDer::from_pem_slice(&read_file(key)?)
        .map_err(|error| not_pem(key, "private key", error))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| {
            builder
                .with_no_client_auth()
                .with_single_cert(certificates, secret)
        });
    let mut config = config.map_err(|error| CertificateError::Unusable {
        chain: chain.to_owned(),
        key: key.to_owned(),
        error,
    })?;
    manner.apply(&mut config);
    Ok(config)
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let text = read_file(path)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match certificates {
        Ok(none) if none.is_empty() => {
            Err(not_pem(path, "certificate chain", pem::Error::NoItemsFound))
        }
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(not_pem(path, "certificate chain", error)),
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, CertificateError> {
    std::fs::read(path).map_err(|error| CertificateError::Read {
        path: path.to_owned(),
        error,
    })
}

fn not_pem(path: &Path, what: &'static str, error: pem::Error) -> CertificateError {
    CertificateError::Pem {
        path: path.to_owned(),
        what,
        error,
    }
}
