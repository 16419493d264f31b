import type { Metadata } from 'next';

export const metadata: Metadata = { title: 'ISR' };

export const revalidate = 10; // seconds

export default function Isr() {
  const now = new Date().toISOString();

  return (
    <article>
      <p className="eyebrow">Incremental static regeneration</p>
      <h1>Fresh enough</h1>
      <p className="lead">
        This page is served from a cache. Once its copy is ten seconds old, the next visit has a new
        one made in the background.
      </p>
      <dl className="facts">
        <div>
          <dt>Generated</dt>
          <dd>
            <time dateTime={now} data-testid="generated">
              {now.slice(0, 19).replace('T', ' ')} UTC
            </time>
          </dd>
        </div>
      </dl>
    </article>
  );
}
