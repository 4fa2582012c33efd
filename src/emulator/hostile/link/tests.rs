//! Tests of the line, on virtual time.

use tokio::io::duplex;

use super::*;

#[test]
fn what_was_lost_is_sent_again_after_ever_longer_waits() {
    let ms = Duration::from_millis;
    for (outage, arrives) in [(0, 200), (200, 200), (201, 600), (6_200, 6_200), (10_000, 12_600)] {
        assert_eq!(next_retransmission(ms(outage), ms(200)), ms(arrives), "{outage}");
    }
}

#[tokio::test(start_paused = true)]
async fn packets_of_all_connections_share_the_rate() {
    let link = Link::new().up(1_000_000);
    let began = Instant::now();
    let pass = || async {
        let (from, mut given) = duplex(500_000);
        let (to, mut taken) = duplex(500_000);
        given.write_all(&vec![0; 500_000]).await.expect("room");
        given.shutdown().await.expect("open");
        link.0.pass(from, to, &link.0.up, link.0.state.subscribe()).await.expect("passed");
        copy(&mut taken, &mut sink()).await.expect("taken")
    };
    assert_eq!(tokio::join!(pass(), pass()), (500_000, 500_000));
    let took = began.elapsed();
    assert!((1_000..1_010).contains(&took.as_millis()), "{took:?}");
}

/// When each of these came, sent one after the other.
async fn arrivals(link: &Link, packets: &[&[u8]]) -> Vec<u128> {
    let (from, mut given) = duplex(100_000);
    let (to, mut taken) = duplex(100_000);
    let began = Instant::now();
    let carrying = link.0.pass(from, to, &link.0.up, link.0.state.subscribe());
    let using = async {
        let mut came = Vec::new();
        for packet in packets {
            given.write_all(packet).await.expect("room");
            // Until it has left by itself.
            sleep(Duration::from_millis(1)).await;
        }
        let mut buffer = [0; 10_000];
        for _ in packets {
            let read = tokio::time::timeout(Duration::from_secs(60), taken.read(&mut buffer));
            match read.await {
                Ok(_) => came.push(began.elapsed().as_millis()),
                Err(_) => break,
            }
        }
        came
    };
    tokio::select! {
        _ = carrying => panic!("the connection ended"),
        came = using => came,
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_on_its_way_does_not_hold_up_what_follows() {
    let link = Link::new().latency(Duration::from_millis(300));
    assert_eq!(arrivals(&link, &[b"a", b"b", b"c"]).await.first(), Some(&300));
}

#[tokio::test(start_paused = true)]
async fn what_is_lost_is_sent_again_and_holds_up_what_follows() {
    let link = Link::new().latency(Duration::from_millis(50)).loses_one_in(2);
    let came = arrivals(&link, &[b"a", b"b"]).await;
    assert_eq!(came, [50, 351], "sent again after a round trip and 200 ms");
}

#[tokio::test(start_paused = true)]
async fn a_narrow_line_drops_what_is_large_and_all_that_follows() {
    let link = Link::new().narrow(100);
    assert_eq!(arrivals(&link, &[&[0; 100], &[0; 101], b"c"]).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_outage_delays_and_loses_nothing() {
    let link = Link::new();
    let (from, mut given) = duplex(10);
    let (to, mut taken) = duplex(10);
    link.interrupt();
    let outage = Instant::now();
    let state = link.0.state.subscribe();
    let carrying = link.0.pass(from, to, &link.0.up, state);
    let using = async {
        given.write_all(b"whole").await.expect("open");
        given.shutdown().await.expect("open");
        sleep_until(outage + Duration::from_secs(10)).await;
        link.restore();
        let mut came = Vec::new();
        taken.read_to_end(&mut came).await.expect("open");
        came
    };
    let (carried, came) = tokio::join!(carrying, using);
    carried.expect("carried");
    assert_eq!((&came[..], outage.elapsed().as_millis()), (&b"whole"[..], 12_600));
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_connection_is_silent_and_stays_open() {
    let link = Link::new();
    let (from, mut given) = duplex(10);
    let (to, mut taken) = duplex(10);
    let state = link.0.state.subscribe();
    let carrying = link.0.pass(from, to, &link.0.up, state);
    let using = async {
        given.write_all(b"a").await.expect("open");
        assert_eq!(taken.read_u8().await.expect("open"), b'a');
        link.forget_connections();
        given.write_all(b"lost, and longer than the buffer").await.expect("open");
        let silence = Duration::from_secs(3_600);
        assert!(tokio::time::timeout(silence, taken.read_u8()).await.is_err());
    };
    tokio::select! {
        ended = carrying => panic!("the connection ended: {ended:?}"),
        () = using => {}
    }
}
