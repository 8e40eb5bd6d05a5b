//! nginx with its RTMP module, as a foreign server.
//!
//! Owns: its folder, configuration and process. Does not: know what it is told to push or pull.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use tempfile::TempDir;

use crate::process::Process;
use crate::tools::{self, Tool};

/// Where Debian's `libnginx-mod-rtmp` puts it.
const MODULE: &str = "/usr/lib/nginx/modules/ngx_rtmp_module.so";

/// A running nginx.
#[derive(Debug)]
pub struct Nginx {
    address: SocketAddr,
    process: Process,
    _folder: TempDir,
}

impl Nginx {
    /// Starts it with an application `live`, to whose block `directives` are added, such as `push rtmp://…;`.
    pub fn start(directives: &str) -> Self {
        if !Path::new(MODULE).is_file() {
            tools::missing(MODULE);
        }
        let folder = tempfile::tempdir().expect("a folder");
        // nginx cannot be given port 0; one that was free a moment ago nearly always still is
        let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let address = free.expect("a free port");
        let configuration = format!(
            "load_module {MODULE};\n\
             daemon off; master_process off; worker_processes 1;\n\
             error_log stderr notice; pid nginx.pid;\n\
             events {{ worker_connections 64; }}\n\
             rtmp {{ access_log off; server {{ listen {address}; chunk_size 4096;\n\
             application live {{ live on; wait_key off; {directives} }} }} }}\n"
        );
        let file = folder.path().join("nginx.conf");
        fs::write(&file, configuration).expect("a configuration file");
        let mut command = Tool::Nginx.command(["-e", "stderr", "-p"]);
        command.arg(folder.path()).arg("-c").arg(&file);
        let process = Process::spawn(&mut command);
        // its sockets are open before it says so
        process.line("its event method", |line| line.contains("using the \""));
        Self {
            address,
            process,
            _folder: folder,
        }
    }

    /// RTMP address of the stream `live/name`.
    pub fn rtmp(&self, name: &str) -> String {
        format!("rtmp://{}/live/{name}", self.address)
    }

    /// The process.
    pub fn process(&self) -> &Process {
        &self.process
    }
}
