<?php
// PHPMailer, which WordPress and many other PHP programs use: see scripts.py for its input.

use PHPMailer\PHPMailer\PHPMailer;

require '/usr/share/php/libphp-phpmailer/autoload.php';

[, $host, $port, $security, $user, $password, $ca] = $argv;
$wanted = json_decode(stream_get_contents(STDIN), true, flags: JSON_THROW_ON_ERROR);

$mail = new PHPMailer(true);
$mail->isSMTP();
$mail->Host = $host;
$mail->Port = (int) $port;
$mail->SMTPSecure = $security === 'tls' ? PHPMailer::ENCRYPTION_SMTPS : PHPMailer::ENCRYPTION_STARTTLS;
$mail->SMTPOptions = ['ssl' => ['cafile' => $ca]];
$mail->SMTPAuth = true;
$mail->Username = $user;
$mail->Password = $password;

$mail->CharSet = PHPMailer::CHARSET_UTF8;
$mail->Encoding = PHPMailer::ENCODING_8BIT;
$mail->setFrom($wanted['from']);
$mail->addAddress($wanted['to']);
$mail->addBCC($wanted['bcc']);
$mail->Subject = $wanted['subject'];
$mail->Body = $wanted['text'];
$mail->addStringAttachment(base64_decode($wanted['attachment']), 'scan.bin');
$mail->send();
