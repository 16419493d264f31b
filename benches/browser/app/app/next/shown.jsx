'use client';
import { useState } from 'react';

/** A client component that the page before did not need. */
export default function Shown({ text }) {
  const [count, set] = useState(0);
  return (
    <p id="shown" onClick={() => set(count + 1)}>
      {text}
    </p>
  );
}
