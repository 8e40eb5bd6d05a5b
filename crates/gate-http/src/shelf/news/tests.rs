//! Rings that are heard, by all who wait, on each core, for as long as anybody may wait.

use std::future::Future;
use std::sync::mpsc;

use tokio::task::{JoinHandle, LocalSet, yield_now};

use super::*;

/// Rings as a push does.
fn ring(bells: &Bells) -> usize {
    let mut wakers = Vec::new();
    bells.ring(&mut wakers);
    let count = wakers.len();
    for waker in wakers {
        waker.wake();
    }
    count
}

/// Runs `herald` beside the test.
fn start(herald: &Rc<Herald>) -> JoinHandle<()> {
    let running = Rc::clone(herald);
    tokio::task::spawn_local(async move { running.run().await })
}

/// Waits for `news` beside the test.
fn wait(news: impl Future<Output = ()> + 'static) -> JoinHandle<()> {
    tokio::task::spawn_local(news)
}

/// What comes of `waiting`. Fails after a while, which in tests with paused time is none.
async fn heard<T>(waiting: impl Future<Output = T>) -> T {
    let most = IDLE / 2;
    let heard = tokio::time::timeout(most, waiting).await;
    heard.expect("the bell is heard")
}

/// Lets the other tasks get as far as they can.
async fn settle() {
    for _ in 0..16 {
        yield_now().await;
    }
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_ring_before_the_wait_is_not_lost() {
    let test = async {
        let bells = Bells::default();
        let herald = Herald::new(&bells);
        let attendance = herald.attend();
        let _running = start(&herald);
        settle().await;
        let news = attendance.news(Rank::Media);
        // rung, and heard, before anybody polls
        assert_eq!(ring(&bells), 1);
        settle().await;
        heard(news).await;
        // the next needs a ring of its own
        let next = wait(attendance.news(Rank::Media));
        settle().await;
        assert!(!next.is_finished());
        ring(&bells);
        heard(next).await.unwrap();
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_ring_before_the_herald_runs_is_heard() {
    let test = async {
        let bells = Bells::default();
        let herald = Herald::new(&bells);
        let attendance = herald.attend();
        let news = attendance.news(Rank::Media);
        assert_eq!(ring(&bells), 0, "nobody has to be woken");
        let _running = start(&herald);
        heard(news).await;
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn one_wake_of_a_core_wakes_all_who_wait_there() {
    let test = async {
        let bells = Bells::default();
        let herald = Herald::new(&bells);
        let attendances: Vec<_> = (0..100).map(|_| herald.attend()).collect();
        let _running = start(&herald);
        let waiting: Vec<_> = attendances
            .iter()
            .map(|one| wait(one.news(Rank::Media)))
            .collect();
        settle().await;
        assert_eq!(ring(&bells), 1);
        // a second ring before the first is heard has nobody to wake
        assert_eq!(ring(&bells), 0);
        for one in waiting {
            heard(one).await.unwrap();
        }
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn a_herald_whom_nobody_needs_ends_and_a_later_one_works() {
    let test = async {
        let bells = Bells::default();
        let herald = Herald::new(&bells);
        let attendance = herald.attend();
        let running = start(&herald);
        // somebody is there, however long nothing happens
        tokio::time::sleep(IDLE * 10).await;
        assert!(!running.is_finished() && herald.serves(&bells));
        assert!(!herald.serves(&Bells::default()), "another channel's");
        drop(attendance);
        let ended = tokio::time::timeout(IDLE * 2, running).await;
        ended.expect("it ends").unwrap();
        assert!(!herald.serves(&bells));
        assert_eq!((ring(&bells), bells.0.lock().len()), (0, 0));

        let later = Herald::new(&bells);
        let attendance = later.attend();
        let _running = start(&later);
        assert!(later.serves(&bells) && !herald.serves(&bells));
        settle().await;
        let news = attendance.news(Rank::Media);
        assert_eq!(ring(&bells), 1);
        heard(news).await;
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn who_waits_for_media_is_woken_first() {
    let test = async {
        let bells = Bells::default();
        let herald = Herald::new(&bells);
        let attendances: Vec<_> = (0..20).map(|_| herald.attend()).collect();
        let _running = start(&herald);
        let order = Rc::new(std::cell::RefCell::new(Vec::new()));
        let waiting = attendances.iter().enumerate().map(|(number, one)| {
            let rank = [Rank::List, Rank::Media][number % 2];
            let (news, order) = (one.news(rank), Rc::clone(&order));
            wait(async move {
                news.await;
                order.borrow_mut().push(rank);
            })
        });
        let waiting: Vec<_> = waiting.collect();
        settle().await;
        ring(&bells);
        for one in waiting {
            heard(one).await.unwrap();
        }
        let expected = [[Rank::Media; 10], [Rank::List; 10]].concat();
        assert_eq!(*order.borrow(), expected);
    };
    LocalSet::new().run_until(test).await;
}

#[test]
fn the_bells_of_each_core_are_rung() {
    let bells = Bells::default();
    let (tell, told) = mpsc::sync_channel(2);
    let cores: Vec<_> = (0..2)
        .map(|core| {
            let (bells, tell) = (bells.clone(), tell.clone());
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread();
                let runtime = { runtime }.enable_time().build().unwrap();
                let test = async {
                    let herald = Herald::new(&bells);
                    let attendance = herald.attend();
                    let _running = start(&herald);
                    settle().await;
                    for round in 0..3 {
                        let news = attendance.news(Rank::Media);
                        tell.send((round, core)).unwrap();
                        heard(news).await;
                    }
                };
                LocalSet::new().block_on(&runtime, test);
            })
        })
        .collect();
    drop(tell);
    for round in 0..3 {
        let mut ready = [told.recv().unwrap(), told.recv().unwrap()];
        ready.sort_unstable();
        assert_eq!(ready, [(round, 0), (round, 1)]);
        ring(&bells);
    }
    for core in cores {
        core.join().unwrap();
    }
}
