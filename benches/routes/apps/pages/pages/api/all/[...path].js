export default function handler(request, answer) {
  answer.status(200).json({ path: request.query.path });
}
