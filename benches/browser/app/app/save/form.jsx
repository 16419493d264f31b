'use client';
import { useActionState } from 'react';
import { keep } from '../actions';

export default function Form({ tab }) {
  const [said, act] = useActionState(keep, 'nothing yet');
  return (
    <form action={act}>
      <input type="hidden" name="tab" value={tab} />
      <input id="word" name="word" />
      <button id="send">keep</button>
      <p id="said">{said}</p>
    </form>
  );
}
