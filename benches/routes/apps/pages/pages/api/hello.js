export default function handler(request, answer) {
  answer.setHeader('x-api', request.method);
  answer.setHeader('set-cookie', ['api=1; Path=/shop; HttpOnly', 'more=2; Path=/']);
  answer.status(200).json({ method: request.method, query: request.query, body: request.body || null });
}
