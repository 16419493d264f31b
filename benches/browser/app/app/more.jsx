'use client';
import { useState } from 'react';

/** Loads a component when it is asked for. */
export default function More() {
  const [Part, set] = useState(null);
  const load = async () => {
    const { default: Lazy } = await import('./lazy');
    set(() => Lazy);
  };
  return (
    <section>
      <button id="load" onClick={load}>
        more
      </button>
      {Part && <Part />}
    </section>
  );
}
