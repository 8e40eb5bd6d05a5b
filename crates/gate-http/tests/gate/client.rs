//! A blocking HTTP client, and FLV to send with it.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use weir_container::flv::{self, Tag, TagKind};

use crate::server::Server;

/// A test that waits longer than this has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// The head of an answer.
pub(crate) struct Head {
    pub(crate) status: u16,
    fields: Vec<(String, String)>,
}

impl Head {
    /// The value of the first field called `name`, in lower case.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }
}

pub(crate) struct Client {
    stream: TcpStream,
    /// Length of the body after the last head.
    length: usize,
    reader: flv::Reader,
    read: Vec<Tag>,
}

/// A request to publish that waits to be let on.
pub(crate) fn post_head(path: &str, field: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: h\r\n{field}\r\n\r\n")
}

impl Client {
    pub(crate) fn connect(server: &Server) -> Self {
        let stream = TcpStream::connect(server.address).expect("a listener");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket");
        stream.set_nodelay(true).expect("a socket");
        Self {
            stream,
            length: 0,
            reader: flv::Reader::new(1 << 20),
            read: Vec::new(),
        }
    }

    /// A client that publishes; the stream is live when this returns.
    pub(crate) fn publish(server: &Server, path: &str, field: &str) -> Self {
        let mut client = Self::connect(server);
        client.send(&post_head(
            path,
            &format!("Expect: 100-continue\r\n{field}"),
        ));
        assert_eq!(client.head().status, 100);
        client
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.send_bytes(text.as_bytes());
    }

    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("taken");
    }

    pub(crate) fn send_chunk(&mut self, data: &[u8]) {
        self.send(&format!("{:X}\r\n", data.len()));
        self.send_bytes(data);
        self.send("\r\n");
    }

    /// Sends a whole body in chunks of `size`, cut elsewhere on their way.
    pub(crate) fn send_chunked(&mut self, data: &[u8], size: usize) {
        let mut wire = Vec::new();
        for chunk in data.chunks(size) {
            wire.extend(format!("{:x};ext\r\n", chunk.len()).bytes());
            wire.extend_from_slice(chunk);
            wire.extend_from_slice(b"\r\n");
        }
        wire.extend_from_slice(b"0\r\nTrailer: x\r\n\r\n");
        for piece in wire.chunks(61) {
            self.send_bytes(piece);
        }
    }

    /// Publishes `file` from when this player is answered on; returns the answer's head.
    pub(crate) fn head_while_uploading(
        &mut self,
        server: &Server,
        path: &str,
        file: &[u8],
    ) -> Head {
        let field = format!("Content-Length: {}", file.len());
        let mut publisher = Self::publish(server, path, &field);
        let head = self.head();
        publisher.send_bytes(file);
        assert_eq!(publisher.head().status, 200);
        head
    }

    fn byte(&mut self) -> u8 {
        let mut byte = [0];
        self.stream.read_exact(&mut byte).expect("more to come");
        byte[0]
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).expect("more to come");
        bytes
    }

    fn line(&mut self) -> String {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            line.push(self.byte());
        }
        String::from_utf8(line).expect("text").trim_end().to_owned()
    }

    pub(crate) fn head(&mut self) -> Head {
        let line = self.line();
        let status = line
            .split(' ')
            .nth(1)
            .and_then(|text| text.parse().ok())
            .expect("a status");
        let mut fields = Vec::new();
        loop {
            let line = self.line();
            let Some((name, value)) = line.split_once(": ") else {
                break;
            };
            fields.push((name.to_lowercase(), value.to_owned()));
        }
        let head = Head { status, fields };
        self.length = head
            .field("content-length")
            .map_or(0, |value| value.parse().expect("a number"));
        head
    }

    /// The text after a head.
    pub(crate) fn text(&mut self) -> String {
        String::from_utf8(self.bytes(self.length)).expect("text")
    }

    /// The bytes after a head.
    pub(crate) fn body(&mut self) -> Vec<u8> {
        self.bytes(self.length)
    }

    fn chunk(&mut self) -> Vec<u8> {
        let size = usize::from_str_radix(&self.line(), 16).expect("a size");
        let chunk = self.bytes(size);
        assert_eq!(self.bytes(2), b"\r\n");
        chunk
    }

    /// The rest of a chunked body.
    pub(crate) fn chunks(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let chunk = self.chunk();
            if chunk.is_empty() {
                return all;
            }
            all.extend(chunk);
        }
    }

    /// The tags of a chunked stream so far, at least `count` of them.
    pub(crate) fn tags(&mut self, count: usize) -> &[Tag] {
        while self.reader.file_header().is_none() || self.read.len() < count {
            let chunk = self.chunk();
            let mut input = chunk.as_slice();
            while let Some(tag) = self.reader.read(&mut input).expect("flv") {
                self.read.push(tag);
            }
        }
        &self.read
    }

    /// Everything up to the close.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        self.stream.read_to_end(&mut all).expect("an end");
        all
    }

    /// True when the server closes without another word.
    pub(crate) fn is_closed(&mut self) -> bool {
        match self.stream.read(&mut [0; 64]) {
            Ok(count) => count == 0,
            Err(error) => error.kind() == ErrorKind::ConnectionReset,
        }
    }

    /// The handshake of the example in RFC 6455, section 1.3.
    pub(crate) fn send_websocket(&mut self, path: &str, version: &str) {
        self.send(&format!(
            "GET {path} HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Version: {version}\r\n\r\n"
        ));
    }

    /// Sends a masked frame.
    pub(crate) fn send_frame(&mut self, first: u8, payload: &[u8]) {
        let mut frame = vec![first];
        match payload.len() {
            length @ 0..=125 => frame.push(0x80 | length as u8),
            length => {
                frame.push(0x80 | 127);
                frame.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(&[9, 8, 7, 6]);
        frame.extend(
            payload
                .iter()
                .zip([9, 8, 7, 6].iter().cycle())
                .map(|(a, b)| a ^ b),
        );
        self.send_bytes(&frame);
    }

    /// The first byte and the payload of the next frame.
    pub(crate) fn message(&mut self) -> (u8, Vec<u8>) {
        let first = self.byte();
        let length = match self.byte() {
            126 => usize::from(u16::from_be_bytes(
                self.bytes(2).try_into().expect("two bytes"),
            )),
            127 => u64::from_be_bytes(self.bytes(8).try_into().expect("eight bytes")) as usize,
            short => usize::from(short),
        };
        (first, self.bytes(length))
    }
}

/// An FLV file of one GOP, in the order in which a viewer gets it.
pub(crate) struct Media {
    pub(crate) tags: Vec<Tag>,
}

impl Media {
    pub(crate) fn new(frames: u32) -> Self {
        Self::with_size(frames, 60)
    }

    /// Metadata, two sequence headers, and `frames` pictures of `size` bytes with a sound each.
    pub(crate) fn with_size(frames: u32, size: usize) -> Self {
        let mut tags = vec![
            tag(
                TagKind::Script,
                0,
                b"\x02\x00\x0aonMetaData\x08\0\0\0\0\0\0\x09",
            ),
            tag(
                TagKind::Video,
                0,
                b"\x17\0\0\0\0\x01\x4d\x40\x1f\xff\xe1\0\0\x01\0\0",
            ),
            tag(TagKind::Audio, 0, b"\xaf\0\x12\x10"),
        ];
        for frame in 0..frames {
            let head = if frame == 0 { 0x17 } else { 0x27 };
            let mut picture = vec![head, 1, 0, 0, 0];
            picture.resize(size, frame as u8);
            tags.push(tag(TagKind::Video, frame * 4, &picture));
            tags.push(tag(TagKind::Audio, frame * 4 + 1, &[0xaf, 1, frame as u8]));
        }
        Self { tags }
    }

    /// Metadata, two sequence headers, and `frames` pictures, each a key frame `distance` milliseconds after the one before.
    pub(crate) fn with_keys(frames: u32, distance: u32) -> Self {
        Self::with_large_keys(frames, distance, 32)
    }

    /// The same of pictures of `size` bytes.
    pub(crate) fn with_large_keys(frames: u32, distance: u32, size: u32) -> Self {
        let mut media = Self::new(0);
        // pictures of 128 by 96 in the Baseline profile
        media.tags[1] = tag(
            TagKind::Video,
            0,
            b"\x17\0\0\0\0\x01\x42\0\x0a\xff\xe1\0\x07\x67\x42\0\x0a\xf8\x41\xa2\x01\0\x04\x68\xce\x38\x80",
        );
        for frame in 0..frames {
            let mut picture = b"\x17\x01\0\0\0".to_vec();
            picture.extend(size.to_be_bytes());
            picture.push(0x65);
            picture.extend((1..size).map(|at| (at >> 12) as u8 ^ frame as u8));
            media
                .tags
                .push(tag(TagKind::Video, frame * distance, &picture));
            let sound = [0xaf, 1, frame as u8];
            media
                .tags
                .push(tag(TagKind::Audio, frame * distance + 1, &sound));
        }
        media
    }

    /// Pictures in AV1 and nothing else.
    pub(crate) fn av1() -> Self {
        Self {
            tags: vec![
                tag(TagKind::Video, 0, b"\x90av01\x81\x05\x0c\0"),
                tag(TagKind::Video, 0, b"\x91av01picture"),
            ],
        }
    }

    /// The pictures and sounds, later by `millis`.
    pub(crate) fn tags_from(&self, millis: u32) -> Vec<Tag> {
        let media = self.tags.iter().skip(3);
        media
            .map(|one| tag(one.kind, one.timestamp + millis, &one.body))
            .collect()
    }

    /// The beginning of every file.
    pub(crate) fn header() -> Vec<u8> {
        let mut out = Vec::new();
        flv::write_file_header(true, true, &mut out);
        out
    }

    /// What follows it.
    pub(crate) fn body(tags: &[Tag]) -> Vec<u8> {
        let mut out = Vec::new();
        for tag in tags {
            flv::write_tag(tag.kind, tag.timestamp, &tag.body, &mut out).expect("small");
        }
        out
    }

    pub(crate) fn file(&self) -> Vec<u8> {
        [Self::header(), Self::body(&self.tags)].concat()
    }

    /// The whole tags of a file, or of the beginning of one.
    pub(crate) fn read(mut file: &[u8]) -> Vec<Tag> {
        let mut reader = flv::Reader::new(1 << 20);
        let mut tags = Vec::new();
        while let Some(tag) = reader.read(&mut file).expect("flv") {
            tags.push(tag);
        }
        tags
    }
}

fn tag(kind: TagKind, timestamp: u32, body: &[u8]) -> Tag {
    Tag {
        kind,
        timestamp,
        stream_id: 0,
        body: body.to_vec().into(),
    }
}
