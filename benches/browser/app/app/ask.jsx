'use client';
import { useState } from 'react';
import { answer } from './actions';

/** Calls a server action on a click. */
export default function Ask() {
  const [said, set] = useState('nothing yet');
  return (
    <section>
      <button id="ask" onClick={async () => set(await answer('a click'))}>
        ask
      </button>
      <p id="answer">{said}</p>
    </section>
  );
}
