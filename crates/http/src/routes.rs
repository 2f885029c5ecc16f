//! Which paths exist, and with which methods.

use std::{
    future::ready,
    sync::{Arc, LazyLock},
};

use crate::{api::Api, docs, finish::finish, handlers, problem::Problem};
use actix_web::{
    App, Error, Resource, Route,
    body::BoxBody,
    dev::{ServiceFactory, ServiceRequest, ServiceResponse},
    guard,
    http::{Method, header::HeaderValue},
    middleware::from_fn,
    web::{self, Data},
};

/// The whole API, as production and tests use it.
pub fn app(
    api: &Api,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<BoxBody>,
        Error = Error,
        InitError = (),
    > + use<>,
> {
    let register = |config: &mut web::ServiceConfig| {
        for endpoint in endpoints() {
            config.service(endpoint.into_resource());
        }
        // A page without its slash would look for its files in the wrong place.
        config.service(web::redirect("/docs", "/docs/").permanent());
    };
    App::new()
        .app_data(Data::from(Arc::clone(api.shared())))
        .configure(register)
        .default_service(web::to(handlers::unknown_path))
        .wrap(from_fn(finish))
}

/// All paths. What is added here must be documented; a test compares the two.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::at("/orders")
            .get(web::to(handlers::list_orders))
            .post(web::to(handlers::place_order)),
        Endpoint::at("/orders/{id}")
            .get(web::to(handlers::find_order))
            .patch(web::to(handlers::take_order)),
        Endpoint::at("/healthcheck").get(web::to(handlers::healthcheck)),
        Endpoint::at("/livez").get(web::to(handlers::livez)),
        Endpoint::at("/readyz").get(web::to(handlers::readyz)),
        Endpoint::at("/metrics").get(web::to(handlers::metrics)),
        Endpoint::at("/openapi.json").get(web::to(handlers::openapi)),
        Endpoint::at("/docs/").get(web::to(handlers::docs)),
    ]
}

/// The path as it is documented that a path of a client is routed to, for who counts. It is known
/// before the request is routed, and after all else of it is gone.
pub(crate) fn documented(path: &str) -> Option<&'static str> {
    static PATHS: LazyLock<Vec<&'static str>> =
        LazyLock::new(|| endpoints().iter().map(|endpoint| endpoint.path).collect());
    let path = path.strip_suffix('/').unwrap_or(path);
    PATHS.iter().copied().find(|known| is_routed_to(path, known))
}

fn is_routed_to(path: &str, known: &str) -> bool {
    if let Some(page) = known.strip_suffix('/') {
        // A page, and the files below it.
        let below = path.strip_prefix(page);
        return below.is_some_and(|file| file.is_empty() || file.rfind('/') == Some(0));
    }
    let (known, sent) = (known.split('/'), path.split('/'));
    known.clone().count() == sent.clone().count()
        && known.zip(sent).all(|(known, sent)| known == sent || known.starts_with('{'))
}

/// A path, and what answers its methods.
pub(crate) struct Endpoint {
    /// As it is documented.
    pub(crate) path: &'static str,
    pub(crate) methods: Vec<Method>,
    routes: Vec<Route>,
}

impl Endpoint {
    fn at(path: &'static str) -> Self {
        Self { path, methods: vec![], routes: vec![] }
    }

    /// `HEAD` works wherever `GET` does; the server leaves the body out.
    fn get(mut self, route: Route) -> Self {
        self.methods.extend([Method::GET, Method::HEAD]);
        self.routes.push(route.guard(guard::Any(guard::Get()).or(guard::Head())));
        self
    }

    fn post(self, route: Route) -> Self {
        self.on(Method::POST, route)
    }

    fn patch(self, route: Route) -> Self {
        self.on(Method::PATCH, route)
    }

    fn on(mut self, method: Method, route: Route) -> Self {
        self.routes.push(route.method(method.clone()));
        self.methods.push(method);
        self
    }

    /// A path that ends with a slash is that of a page, which has its files below it.
    fn is_page(&self) -> bool {
        self.path.ends_with('/')
    }

    /// The paths as they are routed. A trailing slash means the same as none, so a path stands
    /// twice; to rewrite it before it is routed would also touch what lies below `/docs/`.
    fn patterns(&self) -> Vec<String> {
        if self.is_page() {
            vec![format!("{}{{file:[^/]*}}", self.path)]
        } else {
            vec![self.path.to_owned(), format!("{}/", self.path)]
        }
    }

    /// Other methods are told which there are.
    fn into_resource(self) -> Resource {
        let allow: Vec<_> = self.methods.iter().map(Method::as_str).collect();
        let allow = HeaderValue::from_str(&allow.join(", ")).expect("names of methods are ASCII");
        let refuse = move || ready(Err::<&str, _>(Problem::method_not_allowed(allow.clone())));
        let mut resource = web::resource(self.patterns()).default_service(web::to(refuse));
        if self.is_page() {
            // What is no file of a page is no path, whatever the method.
            resource = resource.guard(guard::fn_guard(move |context| {
                let file = context.head().uri.path().strip_prefix(self.path);
                file.is_some_and(docs::is_file)
            }));
        }
        self.routes.into_iter().fold(resource, Resource::route)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("/orders", Some("/orders"))]
    #[case("/orders/", Some("/orders"))]
    #[case("/orders/7", Some("/orders/{id}"))]
    #[case("/orders/%201/", Some("/orders/{id}"))]
    #[case("/orders/1/x", None)]
    #[case("/docs", Some("/docs/"))]
    #[case("/docs/", Some("/docs/"))]
    #[case("/docs/swagger-ui.css", Some("/docs/"))]
    #[case("/docs/a/b", None)]
    #[case("/docsx", None)]
    #[case("/metrics", Some("/metrics"))]
    #[case("/", None)]
    #[case("", None)]
    fn a_path_is_counted_as_what_it_is_documented_as(
        #[case] path: &str,
        #[case] expected: Option<&str>,
    ) {
        assert_eq!(documented(path), expected);
    }
}
