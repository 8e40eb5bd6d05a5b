//! nginx with its RTMP module, as a foreign server.
//!
//! Owns: its folder, configuration and process. Does not: know what it is told to push or pull, or who asks it for
//! files.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::process::Process;
use crate::tools::{self, Tool};

/// Where Debian's `libnginx-mod-rtmp` puts it.
const MODULE: &str = "/usr/lib/nginx/modules/ngx_rtmp_module.so";

/// Below the folder of an origin: what it serves over HTTP.
const FILES: &str = "www";

/// The application's directives at an origin: HLS and DASH as they come, kept for as long as tests run.
const PACKAGED: &str = "hls on; hls_path www/live; hls_fragment 1s; hls_playlist_length 10m; hls_cleanup off; \
     dash on; dash_path www/dash; dash_fragment 1s; dash_playlist_length 10m; dash_cleanup off;";

/// Types of what is streamed; nginx's own list lacks some of them.
const TYPES: &str = "types { text/html html; application/vnd.apple.mpegurl m3u8; application/dash+xml mpd; \
     video/mp2t ts; video/mp4 mp4 m4s m4v; audio/mp4 m4a; } default_type application/octet-stream;";

/// What a request came with, a line each.
const ASKED: &str = "query $args\\nrange $http_range\\nuser-agent $http_user_agent\\nreferer $http_referer\\n\
     origin $http_origin\\nauthorization $http_authorization\\nx-forwarded-for $http_x_forwarded_for\\n";

/// Folders for bodies, whose places in the package only root may write to.
const FOLDERS: &str = "client_body_temp_path t1; proxy_temp_path t2; fastcgi_temp_path t3; \
     uwsgi_temp_path t4; scgi_temp_path t5;";

/// A running nginx.
#[derive(Debug)]
pub struct Nginx {
    address: SocketAddr,
    http: Option<SocketAddr>,
    process: Process,
    folder: TempDir,
}

impl Nginx {
    /// Starts it with an application `live`, to whose block `directives` are added, such as `push rtmp://…;`.
    pub fn start(directives: &str) -> Self {
        Self::run(free(), None, directives)
    }

    /// Starts it as an origin: RTMP, and over HTTP all files below [`Nginx::files`], where it writes HLS to
    /// `live/NAME.m3u8` and DASH to `dash/NAME.mpd` as they come. Below `/open/` are the same files for pages of other
    /// origins. `/denied/…` is 403; `/moved/…` leads to `/live/…`, and
    /// `/moved-absolutely/…` does so by its address; `/asked/…` says which query and fields a request came with.
    pub fn origin() -> Self {
        Self::run(free(), Some(free()), PACKAGED)
    }

    fn run(address: SocketAddr, http: Option<SocketAddr>, directives: &str) -> Self {
        if !Path::new(MODULE).is_file() {
            tools::missing(MODULE);
        }
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["live", "dash"] {
            fs::create_dir_all(folder.path().join(FILES).join(name)).expect("a folder");
        }
        let server = http.map(files).unwrap_or_default();
        let configuration = format!(
            "load_module {MODULE};\n\
             daemon off; master_process off; worker_processes 1;\n\
             error_log stderr notice; pid nginx.pid;\n\
             events {{ worker_connections 64; }}\n\
             rtmp {{ access_log off; server {{ listen {address}; chunk_size 4096;\n\
             application live {{ live on; wait_key off; {directives} }} }} }}\n{server}"
        );
        let file = folder.path().join("nginx.conf");
        fs::write(&file, configuration).expect("a configuration file");
        let mut command = Tool::Nginx.command(["-e", "stderr", "-p"]);
        command.arg(folder.path()).arg("-c").arg(&file);
        // paths in the directives of the RTMP module are relative to where it runs
        command.current_dir(folder.path());
        let process = Process::spawn(&mut command);
        // its sockets are open before it says so
        process.line("its event method", |line| line.contains("using the \""));
        Self {
            address,
            http,
            process,
            folder,
        }
    }

    /// RTMP address of the stream `live/name`.
    pub fn rtmp(&self, name: &str) -> String {
        format!("rtmp://{}/live/{name}", self.address)
    }

    /// Where it takes RTMP.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where an origin serves its files. Panics for others.
    pub fn http(&self) -> SocketAddr {
        self.http.expect("it was started as an origin")
    }

    /// The folder that an origin serves.
    pub fn files(&self) -> PathBuf {
        self.folder.path().join(FILES)
    }

    /// The process.
    pub fn process(&self) -> &Process {
        &self.process
    }
}

/// A free address: nginx cannot be given port 0, and one that was free a moment ago nearly always still is.
fn free() -> SocketAddr {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
    free.expect("a free port")
}

fn files(address: SocketAddr) -> String {
    format!(
        "http {{ access_log off; {TYPES} {FOLDERS}\n\
         server {{ listen {address}; root {FILES};\n\
         location /open/ {{ alias {FILES}/; add_header access-control-allow-origin *; }}\n\
         location /denied/ {{ return 403; }}\n\
         location /asked/ {{ return 200 \"{ASKED}\"; }}\n\
         location ~ ^/moved/(.*) {{ return 302 /live/$1; }}\n\
         location ~ ^/moved-absolutely/(.*) {{ return 302 http://{address}/live/$1; }} }} }}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::curl;

    #[test]
    fn an_origin_serves_files_and_refuses_redirects_and_reports() {
        let nginx = Nginx::origin();
        fs::write(nginx.files().join("live/s.ts"), "a segment").unwrap();
        let ask = |path: &str| curl([format!("http://{}{path}", nginx.http())]);
        let file = ask("/live/s.ts");
        assert_eq!((file.head.status, file.text().as_str()), (200, "a segment"));
        assert_eq!(file.head.header("content-type"), Some("video/mp2t"));
        assert_eq!(ask("/denied/s.ts").head.status, 403);
        for path in ["/moved/s.ts", "/moved-absolutely/s.ts"] {
            let moved = ask(path).head;
            assert_eq!(moved.status, 302);
            let to = moved.header("location").unwrap_or_default().to_owned();
            assert_eq!(to, format!("http://{}/live/s.ts", nginx.http()));
        }
        let asked = ask("/asked/s.flv?a=b").text();
        assert!(asked.starts_with("query a=b\nrange \n"), "{asked}");
    }
}
