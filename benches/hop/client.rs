//! The client before the hops: bare tonic, as many connections as asked, and what the hop's processes ran meanwhile.

use std::time::Instant;

use genai_bridge::v1beta::generative_service_client::GenerativeServiceClient;
use genai_bridge::v1beta::{Content, GenerateContentRequest};
use tokio::task::JoinSet;
use tonic::Request;
use tonic::transport::{Channel, Endpoint};

use crate::Failure;
use crate::tls::Connector;

type Client = GenerativeServiceClient<Channel>;

/// Prints the hop's microseconds a call or chunk, and calls or chunks a second.
pub(crate) fn load(
    port: &str,
    folder: &str,
    processes: &str,
    load: &[&str],
) -> Result<(), Failure> {
    let &[kind, connections, callers, calls, chunks, wait] = load else {
        return Err("a load".into());
    };
    let (connections, callers, calls): (usize, usize, usize) =
        (connections.parse()?, callers.parse()?, calls.parse()?);
    let each: usize = if kind == "streams" { chunks.parse()? } else { 0 };
    let wait = wait.to_owned();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async move {
        let mut clients = Vec::new();
        for _ in 0..connections {
            clients.push(connect(port, folder).await?);
        }
        let share = calls / (connections * callers);
        run(&clients, callers, share.div_ceil(5), each, &wait).await?;
        let (before, began) = (processor_time(processes), Instant::now());
        run(&clients, callers, share, each, &wait).await?;
        let (spent, took) = (processor_time(processes) - before, began.elapsed());
        let count = (share * connections * callers * each.max(1)) as f64;
        println!("{} {}", spent as f64 / 1000.0 / count, count / took.as_secs_f64());
        Ok(())
    })
}

async fn connect(port: &str, folder: &str) -> Result<Client, Failure> {
    let endpoint = Endpoint::from_shared(format!("http://localhost:{port}"))?
        .origin(format!("https://localhost:{port}").parse()?);
    Ok(Client::new(endpoint.connect_with_connector(Connector::new(folder)?).await?))
}

async fn run(
    clients: &[Client],
    callers: usize,
    calls: usize,
    chunks: usize,
    wait: &str,
) -> Result<(), Failure> {
    let mut running = JoinSet::new();
    for client in clients.iter().flat_map(|client| std::iter::repeat_n(client, callers)) {
        let (mut client, wait) = (client.clone(), wait.to_owned());
        running.spawn(async move {
            for _ in 0..calls {
                if chunks == 0 {
                    client.generate_content(question(chunks, &wait)?).await?;
                    continue;
                }
                let answer = client.stream_generate_content(question(chunks, &wait)?).await?;
                let (mut stream, mut came) = (answer.into_inner(), 0);
                while stream.message().await?.is_some() {
                    came += 1;
                }
                if came != chunks {
                    return Err(format!("{came} chunks of {chunks}").into());
                }
            }
            Ok::<_, Failure>(())
        });
    }
    while let Some(ended) = running.join_next().await {
        ended??;
    }
    Ok(())
}

fn question(chunks: usize, wait: &str) -> Result<Request<GenerateContentRequest>, Failure> {
    let mut request = Request::new(GenerateContentRequest {
        model: "models/gemini-2.5-flash".into(),
        contents: vec![Content::user("Why is the sky blue? Answer in one sentence.")],
        ..GenerateContentRequest::default()
    });
    let metadata = request.metadata_mut();
    metadata.insert("x-goog-api-key", "a-key".parse()?);
    metadata.insert("x-wait", wait.parse()?);
    metadata.insert("x-chunks", chunks.max(1).to_string().parse()?);
    Ok(request)
}

/// Nanoseconds that the threads of these processes have run.
fn processor_time(processes: &str) -> u64 {
    let threads = processes
        .split(',')
        .filter_map(|process| std::fs::read_dir(format!("/proc/{process}/task")).ok())
        .flatten()
        .flatten();
    let run = threads.filter_map(|thread| {
        let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    run.sum()
}
