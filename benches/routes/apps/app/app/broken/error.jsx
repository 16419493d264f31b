'use client';

export default function Failed() {
  return <p>this part failed</p>;
}
