import { updateTag } from 'next/cache';
import { stamp } from '../lib/stamp';

async function renew() {
  'use server';
  updateTag('stamp-action');
}

export default async function Page() {
  return (
    <form action={renew}>
      <p>{await stamp('action')}</p>
      <button>renew</button>
    </form>
  );
}
