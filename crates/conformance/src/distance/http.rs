//! The clauses of providers over HTTP, with a stub of the server. An adapter says with
//! [`HttpProvider`] how its API answers.

use std::{
    error::Error,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use order_domain::{Coordinates, DistanceError, DistanceOutcome, DistanceProvider, Route};

use super::stub::{Action, Request, Stub, Then};

/// The key of the provider. It needs no encoding, so it is found in every text that contains it.
pub const KEY: &str = "qZ7vK9xW2jY4pL8m";

/// A provider, and how its API answers.
pub trait HttpProvider {
    /// The provider for the server at this address. Its key is [`KEY`], if it has one.
    fn connect(address: SocketAddr) -> Arc<dyn DistanceProvider>;

    /// The latitudes and longitudes of the origin and the destination.
    fn points(request: &Request) -> [(f64, f64); 2];

    /// The response for an answer.
    fn response(answer: Answer<'_>) -> Action;
}

/// What an API answers.
#[derive(Clone, Copy, Debug)]
pub enum Answer<'a> {
    /// A distance in metres, as the text of a JSON value. A fixture for an API in another unit
    /// converts numbers, and passes on other values as they are.
    Metres(&'a str),
    /// There is no route between the points.
    NoRoute,
    /// A point is far from every road that the API knows.
    OffTheMap,
    /// Too many requests were sent.
    QuotaExceeded,
    /// The request is rejected with this text: an invalid key, for example.
    Rejected(&'a str),
}

/// A provider and the stub that it calls.
pub struct Stubbed {
    /// The provider.
    pub provider: Arc<dyn DistanceProvider>,
    /// The stub.
    pub stub: Stub,
}

impl Stubbed {
    /// A provider whose stub performs these actions in turn, and then repeats the last one.
    pub async fn script<P: HttpProvider>(actions: impl Into<Vec<Action>>) -> Self {
        let stub = Stub::script(actions.into()).await;
        Self { provider: P::connect(stub.address()), stub }
    }

    /// A provider whose stub computes a distance for each pair of points.
    pub async fn computing<P: HttpProvider>() -> Self {
        let stub = Stub::serve(|_, request| {
            let [from, to] = P::points(request);
            let degrees = (from.0 - to.0).abs() + (from.1 - to.1).abs();
            P::response(Answer::Metres(&format!("{:.0}", degrees * 82_212.2)))
        });
        let stub = stub.await;
        Self { provider: P::connect(stub.address()), stub }
    }

    /// Calls the provider with [`sample_route`].
    ///
    /// # Errors
    /// Those of the provider.
    pub async fn call(&self) -> Result<DistanceOutcome, DistanceError> {
        self.provider.distance(&sample_route()).await
    }

    /// Checks that the first call fails with this kind of error, after this many requests.
    pub async fn assert_fails(&self, kind: &str, requests: usize) -> DistanceError {
        assert_fails(&*self.provider, &self.stub, kind, requests).await
    }

    /// The name of the error of a call, and how many requests it needed.
    async fn failure(&self) -> (&'static str, usize) {
        let before = self.stub.request_count();
        let error = self.call().await.expect_err("the call fails");
        (error.as_str(), self.stub.request_count() - before)
    }
}

/// Checks that the first call of a provider fails with this kind of error, after this many requests
/// to its stub. Returns the error.
pub async fn assert_fails(
    provider: &dyn DistanceProvider,
    stub: &Stub,
    kind: &str,
    requests: usize,
) -> DistanceError {
    let error = provider.distance(&sample_route()).await.expect_err("the call fails");
    let found = (error.as_str(), stub.request_count());
    assert_eq!(found, (kind, requests), "{}", texts(&error));
    error
}

/// The route in the README.
#[must_use]
pub fn sample_route() -> Route {
    Route {
        origin: Coordinates::from_degrees(50.456_399, 12.707_58).unwrap(),
        destination: Coordinates::from_degrees(59.436_487, 24.747_193).unwrap(),
    }
}

#[async_trait]
impl DistanceProvider for Stubbed {
    async fn distance(&self, route: &Route) -> Result<DistanceOutcome, DistanceError> {
        self.provider.distance(route).await
    }
}

/// A provider with a stub that computes distances, for the clauses of every provider.
pub async fn computing<P: HttpProvider>() -> Arc<dyn DistanceProvider> {
    Arc::new(Stubbed::computing::<P>().await)
}

/// The messages of an error and its sources, and their debug forms.
#[must_use]
pub fn texts(error: &(dyn Error + 'static)) -> String {
    let (mut texts, mut next) = (format!("{error:?}"), Some(error));
    while let Some(error) = next {
        texts = format!("{texts}: {error}");
        next = error.source();
    }
    texts
}

/// Generates one test for each clause of a provider over HTTP, those of every provider included.
/// The argument is a type that implements [`HttpProvider`].
#[macro_export]
macro_rules! http_provider_clauses {
    // The list of clauses. A clause that is missing here is dead code, which is a warning.
    (@each $action:ident $argument:tt) => {
        $crate::http_provider_clauses! { @$action $argument
            missing_route_is_an_outcome,
            point_off_the_map_has_no_route,
            fractional_distance_is_rounded_or_invalid,
            value_that_is_no_distance_is_invalid,
            invalid_response_is_not_retried,
            endless_response_is_invalid,
            cut_response_is_tried_three_times,
            retry_after_a_cut_response_succeeds,
            slow_response_is_awaited,
            stalled_response_ends_the_call,
            exceeded_quota_is_unavailable,
            rejection_is_not_retried,
            error_contains_no_secret,
        }
    };
    (@reexport [] $($clause:ident,)+) => { $(pub use clauses::$clause;)+ };
    (@generate [$provider:ty] $($clause:ident,)+) => {
        $(
            #[test]
            fn $clause() {
                $crate::__private::run($crate::distance::http::$clause::<$provider>());
            }
        )+
        $crate::distance_provider_clauses!($crate::distance::http::computing::<$provider>);
    };
    ($provider:ty) => { $crate::http_provider_clauses! { @each generate [$provider] } };
}

http_provider_clauses! { @each reexport [] }

mod clauses {
    use super::{
        Action, Answer, DistanceOutcome, Duration, HttpProvider, Instant, KEY, Stubbed, Then, texts,
    };

    const HALF_A_BODY: &str = "HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n{\"status\":\"OK\",";

    fn metres(outcome: DistanceOutcome) -> i64 {
        match outcome {
            DistanceOutcome::Found(distance) => distance.get(),
            DistanceOutcome::NoRoute => panic!("there is a route"),
        }
    }

    /// Catches implementations that report a missing route as a failure, or as 0 m.
    pub async fn missing_route_is_an_outcome<P: HttpProvider>() {
        let stubbed = Stubbed::script::<P>([P::response(Answer::NoRoute)]).await;
        assert_eq!(stubbed.call().await.unwrap(), DistanceOutcome::NoRoute);
        assert_eq!(stubbed.stub.request_count(), 1);
    }

    /// Catches implementations that use the distance between other points than those requested.
    pub async fn point_off_the_map_has_no_route<P: HttpProvider>() {
        let stubbed = Stubbed::script::<P>([P::response(Answer::OffTheMap)]).await;
        assert_eq!(stubbed.call().await.unwrap(), DistanceOutcome::NoRoute);
    }

    /// Catches implementations that truncate.
    pub async fn fractional_distance_is_rounded_or_invalid<P: HttpProvider>() {
        for (value, rounded) in [("6.5", 7), ("6.9", 7), ("7.4", 7), ("0.6", 1)] {
            let stubbed = Stubbed::script::<P>([P::response(Answer::Metres(value))]).await;
            match stubbed.call().await {
                Ok(outcome) => assert_eq!(metres(outcome), rounded, "{value}"),
                Err(error) => assert_eq!(error.as_str(), "invalid_response", "{value}"),
            }
        }
    }

    /// Catches implementations that store a value that is no distance.
    pub async fn value_that_is_no_distance_is_invalid<P: HttpProvider>() {
        for value in ["-1", "-0.3", "9007199254740993", "1e300", "\"5\"", "true", "[5]", "{}"] {
            let stubbed = Stubbed::script::<P>([P::response(Answer::Metres(value))]).await;
            assert_eq!(stubbed.failure().await, ("invalid_response", 1), "{value}");
        }
    }

    /// Catches implementations that panic, or return a distance that is not there.
    pub async fn invalid_response_is_not_retried<P: HttpProvider>() {
        for body in ["", "<html>", "{}", "[]", "null", "5", "{\"status\":\"OK\"", "[[[["] {
            let stubbed = Stubbed::script::<P>([Action::http(200, body)]).await;
            assert_eq!(stubbed.failure().await, ("invalid_response", 1), "{body}");
        }
    }

    /// Catches implementations that keep what they read without a limit.
    pub async fn endless_response_is_invalid<P: HttpProvider>() {
        let then = Then::Repeat(vec![b' '; 65_536]);
        let stubbed = Stubbed::script::<P>([Action::new("HTTP/1.1 200 OK\r\n\r\n", then)]).await;
        assert_eq!(stubbed.failure().await, ("invalid_response", 1));
    }

    /// Catches implementations that report a lost connection as an invalid response.
    pub async fn cut_response_is_tried_three_times<P: HttpProvider>() {
        for then in [Then::Close, Then::Reset] {
            let stubbed = Stubbed::script::<P>([Action::new(HALF_A_BODY, then)]).await;
            assert_eq!(stubbed.failure().await, ("unavailable", 3));
        }
    }

    /// Catches implementations that do not retry, or return the first error.
    pub async fn retry_after_a_cut_response_succeeds<P: HttpProvider>() {
        let cut = Action::new(HALF_A_BODY, Then::Close);
        let found = P::response(Answer::Metres("7"));
        let stubbed = Stubbed::script::<P>([cut.clone(), cut, found]).await;
        assert_eq!(metres(stubbed.call().await.unwrap()), 7);
    }

    /// Catches implementations whose deadline is shorter than a slow response.
    pub async fn slow_response_is_awaited<P: HttpProvider>() {
        let found = P::response(Answer::Metres("7")).delayed(Duration::from_secs(1));
        let stubbed = Stubbed::script::<P>([found]).await;
        assert_eq!(metres(stubbed.call().await.unwrap()), 7);
        assert_eq!(stubbed.stub.request_count(), 1);
    }

    /// Catches implementations without a deadline. The bound is wide, for a busy machine.
    pub async fn stalled_response_ends_the_call<P: HttpProvider>() {
        let stubbed = Stubbed::script::<P>([Action::new(HALF_A_BODY, Then::Stall)]).await;
        let start = Instant::now();
        assert_eq!(stubbed.failure().await.0, "unavailable");
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    }

    /// Catches implementations that ask the operator to act when waiting suffices.
    pub async fn exceeded_quota_is_unavailable<P: HttpProvider>() {
        let stubbed = Stubbed::script::<P>([P::response(Answer::QuotaExceeded)]).await;
        assert_eq!(stubbed.failure().await.0, "unavailable");
    }

    /// Catches implementations that retry what cannot succeed.
    pub async fn rejection_is_not_retried<P: HttpProvider>() {
        let stubbed = Stubbed::script::<P>([P::response(Answer::Rejected("no"))]).await;
        assert_eq!(stubbed.failure().await, ("refused", 1));
    }

    /// Catches implementations whose errors contain the URL, a header field, or text of the server.
    pub async fn error_contains_no_secret<P: HttpProvider>() {
        let location = format!("Location: http://127.0.0.1/?key={KEY}\r\n");
        let mut actions = vec![
            P::response(Answer::Rejected(KEY)),
            P::response(Answer::Metres(&format!("\"{KEY}\""))),
            Action::http(200, KEY),
            Action::http(200, format!("{{\"status\":\"{KEY}\",\"code\":\"{KEY}\"}}")),
        ];
        actions.extend([204, 301, 400, 403, 500].map(|it| Action::http_with(it, &location, KEY)));
        for bytes in ["", KEY, "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"] {
            actions.push(Action::new(bytes, Then::Close));
        }
        for action in actions {
            let stubbed = Stubbed::script::<P>([action]).await;
            let texts = texts(&stubbed.call().await.expect_err("the call fails"));
            assert!(!texts.contains(KEY), "{texts}");
        }
    }
}
