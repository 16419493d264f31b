'use client';

export default function ErrorPage({ retry }: { error: unknown; retry: () => void }) {
  return (
    <section>
      <p className="eyebrow">Error</p>
      <h1 className="notice">Something went wrong on this page.</h1>
      <p className="lead">
        <button type="button" onClick={retry}>
          Try again
        </button>
      </p>
    </section>
  );
}
