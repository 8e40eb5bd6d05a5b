//! The page for debugging, which stands where the Go proxy has its profiles.
//!
//! Owns: the page: what the process is, its threads, how busy each core is, and all counters. Does not: profile; the
//! system's own tools do that without help of the process.

use std::convert::Infallible;
use std::fmt::Write;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use prometheus_client::registry::Registry;
use tokio::task::JoinSet;
use weir_net::{clock, process};

use super::Proxy;
use crate::api::listen::{Bounded, MOST_REQUEST_BYTES};

/// Threads that are listed; there is one for each core and a few besides.
const MAX_THREADS: usize = 1024;

/// Serves the page on `sockets`, whatever path is asked for, for as long as it is polled; to stop, drop it.
pub(super) async fn serve(
    registry: &Arc<Registry>,
    proxy: &Arc<Proxy>,
    sockets: Vec<TcpListener>,
) -> io::Result<Infallible> {
    let mut servers = JoinSet::new();
    for socket in sockets {
        let (proxy, registry) = (Arc::clone(proxy), Arc::clone(registry));
        let handler = async move || {
            let kind = [(CONTENT_TYPE, "text/plain; charset=utf-8")];
            (kind, page(&proxy, &registry))
        };
        let listener = Bounded::new(socket, MOST_REQUEST_BYTES)?;
        let router: Router = Router::new().fallback(handler);
        servers.spawn(axum::serve(listener, router).into_future());
    }
    // servers never end by themselves
    std::future::pending().await
}

fn page(proxy: &Proxy, registry: &Registry) -> String {
    let usage = process::usage();
    let mut text = format!(
        "weir {}\npid {}\nuptime {:?}\ncpu {:?}\nresident {} bytes\nsessions {}\n\n",
        env!("CARGO_PKG_VERSION"),
        std::process::id(),
        clock::now().saturating_duration_since(proxy.started),
        usage.cpu,
        usage.resident,
        proxy.sessions.len(),
    );
    // Writing to a string cannot fail.
    for (index, load) in proxy.cores.loads().iter().enumerate() {
        let (busy, parked) = (load.busy(), load.parked());
        let _ = writeln!(text, "core {index}: busy {busy:?}, waiting {parked:?}");
    }
    text.push_str("\nthreads:\n");
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten();
    for thread in threads.take(MAX_THREADS).flatten() {
        let name = std::fs::read_to_string(thread.path().join("comm")).unwrap_or_default();
        let (id, name) = (thread.file_name(), name.trim());
        let _ = writeln!(text, "{} {name}", id.display());
    }
    text.push('\n');
    let _ = prometheus_client::encoding::text::encode(&mut text, registry);
    text
}
