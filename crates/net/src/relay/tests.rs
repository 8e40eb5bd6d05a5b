//! The relay over real sockets.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream as StdStream};

use proptest::prelude::*;

use super::*;

#[derive(Debug, Default)]
struct Counts {
    up: AtomicU64,
    down: AtomicU64,
}

impl Counters for Counts {
    fn up(&self) -> &AtomicU64 {
        &self.up
    }

    fn down(&self) -> &AtomicU64 {
        &self.down
    }
}

impl Counts {
    fn read(&self) -> (u64, u64) {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        (read(&self.up), read(&self.down))
    }
}

const LONG: Duration = Duration::from_secs(60);

/// A far end in the test's hands, and a near end for the relay.
fn ends() -> (StdStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let far = StdStream::connect(listener.local_addr().expect("bound")).expect("connects");
    let (near, _) = listener.accept().expect("accepts");
    near.set_nonblocking(true).expect("a socket");
    (far, TcpStream::from_std(near).expect("a runtime"))
}

/// Runs `client` on a thread with the far ends of a pair that is relayed here, until the pair has ended.
fn relayed<T: Send + 'static>(
    stalled: Duration,
    client: impl FnOnce(StdStream, StdStream) -> T + Send + 'static,
) -> (Ended, (u64, u64), T) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let relay = Relay::start(0).expect("a thread");
        let ((far_first, first), (far_second, second)) = (ends(), ends());
        let counts = Arc::new(Counts::default());
        let counters: Arc<dyn Counters> = Arc::clone(&counts) as _;
        let joined = relay
            .join(first, second, counters, stalled)
            .expect("joined");
        let client = std::thread::spawn(move || client(far_first, far_second));
        let ended = joined.await;
        assert!(relay.is_empty());
        let result = tokio::task::spawn_blocking(move || client.join());
        let result = result.await.expect("runs").expect("the client is content");
        (ended, counts.read(), result)
    })
}

#[test]
fn bytes_go_both_ways_and_are_counted() {
    let (ended, counts, ()) = relayed(LONG, |mut first, mut second| {
        let mut buffer = [0; 5];
        for _ in 0..3 {
            first.write_all(b"hello").expect("taken");
            second.read_exact(&mut buffer).expect("arrives");
            assert_eq!(&buffer, b"hello");
            second.write_all(b"you").expect("taken");
            first.read_exact(&mut buffer[..3]).expect("arrives");
        }
        drop(first);
        assert_eq!(second.read(&mut buffer).expect("an orderly end"), 0);
    });
    assert!(matches!(ended, Ended::First), "{ended:?}");
    assert_eq!(counts, (15, 9));
}

#[test]
fn what_was_sent_before_the_end_arrives_whole() {
    const BYTES: usize = 8 << 20;
    let (ended, counts, received) = relayed(LONG, |mut first, mut second| {
        let sender = std::thread::spawn(move || {
            let pattern: Vec<u8> = (0..BYTES).map(|at| (at % 251) as u8).collect();
            second.write_all(&pattern).expect("taken");
            second.shutdown(Shutdown::Write).expect("open");
            let mut rest = Vec::new();
            second.read_to_end(&mut rest).expect("an orderly end");
            assert!(rest.is_empty());
        });
        let mut received = Vec::new();
        first.read_to_end(&mut received).expect("an orderly end");
        drop(first);
        sender.join().expect("content");
        received
    });
    assert!(matches!(ended, Ended::Second), "{ended:?}");
    assert_eq!(counts, (0, BYTES as u64));
    let right = |(at, &byte): (usize, &u8)| byte == (at % 251) as u8;
    assert!(received.len() == BYTES && received.iter().enumerate().all(right));
}

#[test]
fn a_full_receiver_holds_its_sender_only() {
    let (ended, _, ()) = relayed(LONG, |mut first, mut second| {
        second.set_nonblocking(true).expect("a socket");
        // until every buffer on the way is full
        let mut sent = 0;
        let mut idle = 0;
        let block = [7; 64 << 10];
        while idle < 20 {
            match second.write(&block) {
                Ok(count) => (sent, idle) = (sent + count, 0),
                Err(_) => {
                    idle += 1;
                    std::thread::yield_now();
                    // the other direction works all the time, and shows that the relay had its turn
                    first.write_all(b"x").expect("taken");
                    second.set_nonblocking(false).expect("a socket");
                    second.read_exact(&mut [0]).expect("arrives");
                    second.set_nonblocking(true).expect("a socket");
                }
            }
        }
        drop(second);
        let mut received = vec![0; sent];
        first.read_exact(&mut received).expect("all of it");
        assert!(received.iter().all(|&byte| byte == 7));
        assert_eq!(first.read(&mut [0]).expect("an orderly end"), 0);
    });
    assert!(matches!(ended, Ended::Second), "{ended:?}");
}

#[test]
fn a_receiver_that_takes_nothing_ends_the_pair() {
    let (ended, _, ()) = relayed(Duration::from_millis(1), |first, mut second| {
        let block = [0; 64 << 10];
        while second.write_all(&block).is_ok() {}
        drop(first);
    });
    assert!(matches!(ended, Ended::Stalled(true)), "{ended:?}");
}

#[test]
fn a_reset_ends_the_pair() {
    let (ended, _, ()) = relayed(LONG, |first, mut second| {
        SockRef::from(&first)
            .set_linger(Some(Duration::ZERO))
            .expect("a socket");
        drop(first);
        // the relay closes, whatever it calls the end
        let _ = second.read(&mut [0]);
    });
    assert!(
        matches!(ended, Ended::First | Ended::Failed(true, _)),
        "{ended:?}"
    );
}

#[test]
fn one_way_nothing_goes_back() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let relay = Relay::start(0).expect("a thread");
        let ((mut far_first, first), (mut far_second, second)) = (ends(), ends());
        let counters = Arc::new(Counts::default());
        let joined = relay.join_one_way(first, second, counters, LONG);
        let joined = joined.expect("joined");
        far_first.write_all(b"GET / HTTP/1.1").expect("taken");
        far_second.write_all(b"media").expect("taken");
        let mut media = [0; 5];
        far_first.read_exact(&mut media).expect("arrives");
        drop(far_first);
        let mut heard = Vec::new();
        far_second.read_to_end(&mut heard).expect("an orderly end");
        assert!(heard.is_empty(), "{heard:?}");
        drop(far_second);
        assert!(matches!(joined.await, Ended::First));
    });
}

#[test]
fn dropping_the_future_closes_both_sockets() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let relay = Relay::start(0).expect("a thread");
        let ((mut far_first, first), (mut far_second, second)) = (ends(), ends());
        let counters = Arc::new(Counts::default());
        drop(relay.join(first, second, counters, LONG).expect("joined"));
        assert_eq!(far_first.read(&mut [0]).expect("closed"), 0);
        assert_eq!(far_second.read(&mut [0]).expect("closed"), 0);
        assert!(relay.is_empty());
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_pieces_arrive_in_order(
        pieces in proptest::collection::vec(1usize..60_000, 1..40),
        reads in proptest::collection::vec(1usize..70_000, 1..10),
    ) {
        let total: usize = pieces.iter().sum();
        let (_, counts, received) = relayed(LONG, move |mut first, mut second| {
            let sender = std::thread::spawn(move || {
                let mut at = 0usize;
                for piece in pieces {
                    let bytes: Vec<u8> = (at..at + piece).map(|at| (at % 253) as u8).collect();
                    at += piece;
                    first.write_all(&bytes).expect("taken");
                }
                first.shutdown(Shutdown::Write).expect("open");
                let _ = first.read(&mut [0]);
            });
            let mut received = Vec::new();
            for size in reads.iter().cycle() {
                let mut piece = vec![0; *size];
                match second.read(&mut piece).expect("an orderly end") {
                    0 => break,
                    count => received.extend_from_slice(piece.get(..count).expect("read")),
                }
            }
            drop(second);
            sender.join().expect("content");
            received
        });
        prop_assert_eq!(counts.0, total as u64);
        prop_assert_eq!(received.len(), total);
        prop_assert!(received.iter().enumerate().all(|(at, &byte)| byte == (at % 253) as u8));
    }
}
