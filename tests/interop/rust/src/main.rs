/* grpc.testing.TestService with tonic: client and server of the interoperability tests, each on one thread.
 *   peer client URI CASE...    peer server URI */
mod calls;
mod client;
mod server;
mod testing;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let code = match words[..] {
        ["client", uri, ref cases @ ..] => client::run(uri, cases).await,
        ["server", uri] => server::run(uri).await,
        _ => {
            eprintln!("usage: peer client URI CASE... | peer server URI");
            2
        }
    };

    std::process::exit(code);
}
